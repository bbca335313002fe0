"""env/example.env is read as the contract, and a task is told all that it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from handrail.config.contract import Contract, load_contract, parse_contract
from handrail.config.values import Values, load_values
from handrail.errors import ConfigError

pytestmark = pytest.mark.unit

CONTRACT = """\
# Heading that belongs to nothing.

# Address of the staging host.
# It has two lines.
# type: host, needed by: deploy, status, secret: no
STAGING_HOST=
# Port of the service.
# type: port
PORT=8000

# type: choice(debug|info), needed by: nothing
LEVEL=info
# Token.
# secret: yes, needed by: app
TOKEN=
"""


def failure(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_contract(text)
    assert "\n" not in caught.value.message
    return caught.value.message


def values_of(root: Path, contract: str, **process: str) -> Values:
    (root / "env").mkdir()
    (root / "env" / "example.env").write_text(contract)
    return load_values(root, "staging", process=process)


def test_each_variable_is_read_with_what_the_comment_says() -> None:
    variables = parse_contract(CONTRACT).variables

    host = variables["STAGING_HOST"]
    assert (host.type, host.needed_by, host.secret, host.default) == ("host", ("deploy", "status"), False, "")
    assert host.text == "Address of the staging host. It has two lines."
    assert host.where == "env/example.env:6"
    assert (variables["PORT"].default, variables["PORT"].needed_by) == ("8000", ("app",))
    assert (variables["LEVEL"].choices, variables["LEVEL"].needed_by) == (("debug", "info"), ())
    assert variables["TOKEN"].secret


def test_a_project_without_the_file_has_an_empty_contract(tmp_path: Path) -> None:
    assert load_contract(tmp_path) == Contract()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=\n", "env/example.env:1: A has no line that says what it is directly above it"),
        ("# type: int\n\nA=\n", "env/example.env:3: A has no line that says what it is directly above it"),
        ("# type: int\nA=\nB=\n", "env/example.env:3: B has no line that says what it is directly above it"),
        ('# type: int\nA=1\n# type: string\nB="\n# type: int"\nC=\n', "env/example.env:6: C has no line"),
        ("# type: hst\nA=\n", "env/example.env:1: unknown type 'hst'; did you mean 'host'?"),
        ("# type: choice()\nA=\n", "env/example.env:1: unknown type 'choice()'"),
        ("# type: int, secrt: yes\nA=\n", "env/example.env:1: unknown word 'secrt'; did you mean 'secret'?"),
        ("# type: int, type: int\nA=\n", "env/example.env:1: 'type:' stands twice on this line"),
        ("# type: int\n# secret: no\nA=\n", "env/example.env:2: A is described a second time"),
        ("# type: int, secret: maybe\nA=\n", "env/example.env:1: secret is 'maybe', expected yes or no"),
        ("# needed by: Deploy!\nA=\n", "env/example.env:1: needed by 'Deploy!', expected names of tasks"),
        ("# needed by: nothing, app\nA=\n", "env/example.env:1: needed by 'nothing', expected names of tasks"),
        ("# type: port\nA=99999\n", "env/example.env:2: the default of A is '99999', expected a port from 1"),
        ("# secret: yes\nA=changeme\n", "env/example.env:2: A is a secret, and a secret has no default"),
        ("# type: int\nA='\n", "env/example.env:2: expected NAME=value"),
    ],
)
def test_a_mistake_in_the_contract_is_named_with_its_line(text: str, expected: str) -> None:
    assert failure(text).startswith(expected)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", ["x", "two words"], []),
        ("int", ["0", "-5", "+7"], ["1.5", "x", "٣", "1 "]),
        ("bool", ["true", "False", "0", "on"], ["2", "maybe"]),
        ("port", ["1", "65535"], ["0", "65536", "x", "-1"]),
        ("url", ["https://example.org", "postgres://u@h/db"], ["example.org", "https://", "a b://c"]),
        ("host", ["example.org", "10.0.0.1", "::1", "web_1"], ["-oProxyCommand=x", "a b", "a;b", "a@b"]),
        ("path", ["/tmp", "a b"], [" ", "a\nb"]),
        ("email", ["a@b.example"], ["a@b", "a b@c.d", "@b.example"]),
        ("choice(a|b c)", ["a", "b c"], ["c", "A"]),
    ],
)
def test_a_type_accepts_what_it_names(kind: str, good: list[str], bad: list[str]) -> None:
    variable = parse_contract(f"# type: {kind}\nA=\n").variables["A"]

    assert [text for text in good if not variable.accepts(text)] == []
    assert [text for text in bad if variable.accepts(text)] == []


def test_a_task_is_told_all_that_is_missing_and_mistyped_at_once(tmp_path: Path) -> None:
    values = values_of(tmp_path, CONTRACT, PORT="abc", LEVEL="loud")

    with pytest.raises(ConfigError) as caught:
        values.contract.require(values, "deploy")

    assert caught.value.message == (
        "deploy cannot use 4 variables:"
        " STAGING_HOST is missing, expected a host name or address (env/example.env:6);"
        " PORT is 'abc', expected a port from 1 to 65535 (process environment);"
        " LEVEL is 'loud', expected one of debug, info (process environment);"
        " TOKEN is missing, expected any text (env/example.env:15);"
        " looked in env/staging.env, env/staging.secrets.env, process environment"
    )


def test_a_task_does_not_ask_for_what_it_does_not_need(tmp_path: Path) -> None:
    values = values_of(tmp_path, CONTRACT, STAGING_HOST="a.example")

    values.contract.require(values, "status")
    values.contract.require(values, "lint")


def test_an_empty_value_is_missing_and_its_source_is_named(tmp_path: Path) -> None:
    values = values_of(tmp_path, CONTRACT, STAGING_HOST="")

    with pytest.raises(ConfigError, match="STAGING_HOST is empty in process environment"):
        values.contract.require(values, "status")


@pytest.mark.security
def test_a_mistyped_secret_is_not_shown(tmp_path: Path) -> None:
    values = values_of(tmp_path, "# type: port, secret: yes\nPIN=\n", PIN="hunter2")

    with pytest.raises(ConfigError) as caught:
        values.contract.require(values, "app")

    assert "PIN has a secret value that does not fit" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_the_contract_of_this_repository_lets_the_sandbox_start_without_edits() -> None:
    root = Path(__file__).parents[3]
    values = load_values(root, "sandbox", process={})

    values.contract.require(values, "deploy")
    assert set(values.for_app()) == set(values.contract.variables)
