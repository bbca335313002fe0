"""Values come from the right place, say from which, and secrets stay secret."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from handrail.config.secret import MASK, Secret
from handrail.config.values import Values, load_values
from handrail.errors import ConfigError, UsageError

pytestmark = pytest.mark.unit

CONTRACT = """\
# type: string
GREETING=hello
# type: host, needed by: deploy
HOST=
# type: string, needed by: nothing
EXTRA=
# type: string, needed by: app, deploy, secret: yes
TOKEN=
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "env").mkdir()
    put(tmp_path, "example", CONTRACT)
    return tmp_path


def put(root: Path, name: str, text: str) -> Path:
    file = root / "env" / f"{name}.env"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return file


def sources(values: Values) -> dict[str, tuple[str, str]]:
    return {name: (value.text, value.source) for name, value in values.items()}


def test_without_files_only_defaults_are_there(root: Path) -> None:
    assert sources(load_values(root, "staging", process={})) == {"GREETING": ("hello", "env/example.env:2 (default)")}


def test_later_places_win_and_each_value_names_its_place(root: Path) -> None:
    put(root, "staging", "GREETING=file\nHOST=file\nEXTRA=file\nTOKEN=${X:-file}\nMORE=file\n")
    put(root, "staging.secrets", "\nHOST=secrets\nEXTRA=secrets\nTOKEN=secrets\n")
    process = {"EXTRA": "process", "TOKEN": "process", "MORE": "process", "UNRELATED": "process"}

    values = load_values(root, "staging", process=process, flags={"TOKEN": "flag"})

    assert sources(values) == {
        "GREETING": ("file", "env/staging.env:1"),
        "HOST": ("secrets", "env/staging.secrets.env:2"),
        "EXTRA": ("process", "process environment"),
        "TOKEN": ("flag", "--set"),
        "MORE": ("process", "process environment"),
    }


def test_interpolation_sees_earlier_files_and_the_process(root: Path) -> None:
    put(root, "staging", "HOST=a.example\nURL=https://${HOST}/${USER}\n")
    put(root, "staging.secrets", "DSN=db://${HOST}:${PORT:-5432}/\n")

    values = load_values(root, "staging", process={"USER": "ann"})

    assert values["URL"].text == "https://a.example/ann"
    assert values["DSN"].text == "db://a.example:5432/"


def test_interpolation_uses_the_value_that_wins(root: Path) -> None:
    put(root, "staging", "HOST=a.example\nURL=https://${HOST}/\n")

    from_process = load_values(root, "staging", process={"HOST": "b.example"})
    from_flag = load_values(root, "staging", process={"HOST": "b.example"}, flags={"HOST": "c.example"})

    assert from_process["URL"].text == "https://b.example/"
    assert from_flag["URL"].text == "https://c.example/"


def test_interpolation_of_an_unset_name_names_line_and_places(root: Path) -> None:
    put(root, "staging", "GREETING=x\nURL=https://${HOTS}/\nHOST=late\n")

    with pytest.raises(ConfigError) as caught:
        load_values(root, "staging", process={})

    assert caught.value.message == (
        "env/staging.env:2: ${HOTS} is not set; looked in env/staging.env, env/staging.secrets.env, process environment"
    )
    assert "single quotes" in caught.value.next_step


def test_single_quotes_keep_braces_as_they_are(root: Path) -> None:
    put(root, "staging.secrets", "TOKEN='pa${ss}word'\n")

    assert load_values(root, "staging", process={})["TOKEN"].text == "pa${ss}word"


def test_a_value_of_the_process_is_never_interpolated(root: Path) -> None:
    assert load_values(root, "staging", process={"TOKEN": "pa${ss}"})["TOKEN"].text == "pa${ss}"


@pytest.mark.security
def test_secrets_are_what_the_contract_says_what_the_secrets_file_holds_and_what_is_built_with_them(
    root: Path,
) -> None:
    put(root, "staging", "HOST=a.example\nDSN=db://u:${TOKEN}@${HOST}/\nAGAIN=${DSN}\n")
    put(root, "staging.secrets", "PASSWORD=from-the-file\n")
    process = {"TOKEN": "from-the-contract", "PASSWORD": "from-the-process"}

    values = load_values(root, "staging", process=process)

    secret = {name for name, value in values.items() if isinstance(value.value, Secret)}
    assert secret == {"TOKEN", "PASSWORD", "DSN", "AGAIN"}
    assert sorted(values.secrets()) == sorted(values[name].text for name in secret)
    assert "from-the" not in repr(dict(values))
    assert str(values["DSN"].value) == MASK


def test_the_app_gets_everything_but_what_only_tasks_need(root: Path) -> None:
    put(root, "staging", "HOST=a.example\nUNDECLARED=yes\n")

    values = load_values(root, "staging", process={"TOKEN": "t", "EXTRA": "e", "PATH": "/bin"})

    assert set(values.for_app()) == {"GREETING", "UNDECLARED", "TOKEN", "EXTRA"}


def test_pyproject_may_name_a_variable_that_only_the_process_has(root: Path) -> None:
    values = load_values(root, "staging", process={"USER": "ann", "HOST": "a.example"})

    assert values.expand("${USER}@${HOST}:${P:-22}", "pyproject.toml:3") == "ann@a.example:22"
    assert "USER" not in values
    assert values.lookup("USER") is not None
    assert values.lookup("NOBODY") is None


def test_a_variable_that_pyproject_names_and_nobody_sets_is_reported_with_the_nearest_one(root: Path) -> None:
    values = load_values(root, "staging", process={"HOST": "a.example"})

    with pytest.raises(ConfigError) as caught:
        values.expand("${HOTS}", "pyproject.toml:3")

    assert caught.value.message == (
        "pyproject.toml:3: ${HOTS} is not set; did you mean 'HOST'?;"
        " looked in env/staging.env, env/staging.secrets.env, process environment"
    )


def test_a_name_that_no_variable_can_have_is_not_repeated(root: Path) -> None:
    put(root, "staging.secrets", "TOKEN=${hid den}\n")

    with pytest.raises(ConfigError) as caught:
        load_values(root, "staging", process={})

    assert caught.value.message == ("env/staging.secrets.env:1: expected ${NAME} with a name of letters, digits and _")


def test_a_flag_with_a_mistyped_name_gets_the_nearest_one(root: Path) -> None:
    with pytest.raises(UsageError, match=r"^--set GRETING: no such variable; did you mean 'GREETING'\?$"):
        load_values(root, "staging", process={}, flags={"GRETING": "x"})


def test_without_a_contract_any_flag_is_taken(tmp_path: Path) -> None:
    assert load_values(tmp_path, "staging", process={}, flags={"ANY": "x"})["ANY"].source == "--set"


@pytest.mark.parametrize("name", ["", "../staging", "a/b", "staging.secrets", "example", "-x", "a b"])
def test_a_name_that_would_leave_the_folder_is_no_environment(root: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not a name of an environment"):
        load_values(root, name, process={})


def test_a_process_value_that_is_not_utf8_is_named(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"^process environment: TOKEN is not UTF-8 text$"):
        load_values(root, "staging", process={"TOKEN": "\udcff"})


def test_a_name_outside_the_contract_is_a_warning_with_the_nearest_one(root: Path) -> None:
    put(root, "staging", "GREETIN=x\n")

    assert load_values(root, "staging", process={}).warnings == [
        "env/staging.env:1: GREETIN is not declared in env/example.env; did you mean 'GREETING'?"
    ]


@pytest.mark.security
def test_a_secret_in_the_open_env_file_is_a_warning_but_in_the_sandbox(root: Path) -> None:
    put(root, "staging", "TOKEN=hidden\n")
    put(root, "sandbox", "TOKEN=hidden\n")

    assert load_values(root, "staging", process={}).warnings == [
        "env/staging.env:1: TOKEN is a secret; move it to env/staging.secrets.env"
    ]
    assert load_values(root, "sandbox", process={}).warnings == []


@pytest.mark.security
def test_a_secrets_file_that_others_can_read_is_a_warning(root: Path) -> None:
    file = put(root, "staging.secrets", "TOKEN=x\n")
    file.chmod(0o640)

    assert load_values(root, "staging", process={}).warnings == [
        "env/staging.secrets.env can be read by others (mode 0640); run: chmod 600 env/staging.secrets.env"
    ]


@pytest.mark.security
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_secrets_file_that_git_tracks_is_refused(root: Path) -> None:
    put(root, "staging.secrets", "TOKEN=x\n")
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)

    assert load_values(root, "staging", process={})["TOKEN"].text == "x"

    subprocess.run(["git", "-C", str(root), "add", "--force", "env"], check=True)
    with pytest.raises(ConfigError, match=r"^env/staging.secrets.env is tracked by git") as caught:
        load_values(root, "staging", process={})
    assert "git rm --cached env/staging.secrets.env" in caught.value.next_step


@pytest.mark.security
def test_values_cannot_be_written_as_json_with_their_secrets(root: Path) -> None:
    values = load_values(root, "staging", process={"TOKEN": "x"})

    with pytest.raises(TypeError):
        json.dumps(values["TOKEN"].value)
