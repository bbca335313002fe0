"""``inv env --check`` and ``--diff``: all environments and the code against the contract, and against each other."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from handrail.commands import Runner
from handrail.config.audit import Audit, audit, mentioned
from handrail.config.compare import compare
from handrail.config.load import load_project
from handrail.config.secret import MASK
from handrail.config.values import load_values
from handrail.errors import TaskFailedError, UsageError
from handrail.tasks.base import TaskContext
from handrail.tasks.env import env
from handrail.testing.printer import RecordingPrinter

pytestmark = pytest.mark.unit

CONTRACT = """\
# type: port, needed by: app, secret: no
PORT=

# type: string, needed by: app, secret: yes
KEY=

# type: string, needed by: nothing, secret: no
OLD=

# type: string, needed by: deploy, secret: no
WHERE=somewhere
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "example.env").write_text(CONTRACT)
    (tmp_path / "env" / "staging.env").write_text("PORT=80\nOLD=x\n")
    secrets = tmp_path / "env" / "staging.secrets.env"
    secrets.write_text("KEY=very-secret\n")
    secrets.chmod(0o600)
    (tmp_path / "env" / "live.env").write_text("PORT=81\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.handrail]\napp = "shop"\nservice.command = "x"\n'
        'environments.staging.hosts = ["a"]\nenvironments.live.hosts = ["b"]\n'
    )
    (tmp_path / "shop.py").write_text('import os\nos.environ["PORT"], os.environ["KEY"], os.environ.get("OLD")\n')
    return tmp_path


def look(root: Path, **process: str) -> Audit:
    return audit(root, load_project(root), process, Runner())


def codes(root: Path, **process: str) -> list[str]:
    return [f"{each.code} {each.level} {each.where}" for each in look(root, **process).findings]


def test_a_machine_without_git_finds_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = codes(root)
    (root / ".git").mkdir()
    monkeypatch.setenv("PATH", "")

    assert codes(root) == found


def test_every_environment_is_looked_at_with_the_source_of_each_value(root: Path) -> None:
    found = look(root, KEY="from-outside")
    rows = {row.name: row for row in found.rows}

    assert found.environments == ["staging", "live"]
    assert rows["PORT"].cells == {"staging": "env/staging.env:1", "live": "env/live.env:1"}
    assert rows["KEY"].cells == {"staging": "process environment", "live": "process environment"}
    assert rows["WHERE"].cells["live"] == "env/example.env:11 (default)"
    assert rows["PORT"].read_at == ["shop.py:2"]
    assert found.findings == []


def test_a_missing_secret_is_a_warning_and_any_other_value_an_error(root: Path) -> None:
    (root / "env" / "live.env").write_text("OLD=1\n")

    assert codes(root) == ["env-missing error env/example.env:2", "env-missing warning env/example.env:5"]


def test_a_value_of_another_type_is_named_where_it_is_set(root: Path) -> None:
    (root / "env" / "live.env").write_text("\nPORT=high\n")

    assert codes(root, KEY="x") == ["env-wrong-type error env/live.env:2"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('import os\nos.environ["PORT"], os.environ["KEY"], os.environ.get("OLD")\nos.environ["NEW"]\n',
         ["env-undeclared error shop.py:3"]),
        ('import os\nos.environ["PORT"], os.environ["KEY"], os.environ.get("OLD")\nos.getenv("NEW", "1")\n',
         ["env-undeclared warning shop.py:3"]),
        ('import os\nos.environ["PORT"], os.environ["KEY"], int(os.environ.get("OLD", "1"))\n',
         ["env-type-loose warning env/example.env:8"]),
        ('import os\nos.environ["PORT"], os.environ["KEY"]\n', ["env-unused warning env/example.env:8"]),
        ('import os\nos.environ["PORT"], os.environ["KEY"], os.environ.get("OLD"), os.environ["HOME"]\n', []),
        ('import os\nos.environ["PORT"], os.environ["KEY"]\nfor n in ROWS:\n    os.environ[f"OL{n}"]\n', []),
    ],
)  # fmt: skip
def test_code_and_contract_are_held_against_each_other(root: Path, code: str, expected: list[str]) -> None:
    (root / "shop.py").write_text(code)

    assert codes(root, KEY="x") == expected


def test_a_variable_that_another_file_of_the_project_names_is_used(root: Path) -> None:
    (root / "shop.py").write_text('import os\nos.environ["PORT"], os.environ["KEY"]\n')
    with (root / "pyproject.toml").open("a") as file:
        file.write('smoke = [{path = "/", body = "OLD"}]\n')

    assert codes(root, KEY="x") == []


def test_a_file_that_the_system_refuses_names_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "start.sh").write_text("echo $NOWHERE\n")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    read_text = Path.read_text

    def refusing(path: Path, *words: str) -> str:
        if path.name == "start.sh":
            raise PermissionError(13, "Permission denied", str(path))
        return read_text(path, *words)

    monkeypatch.setattr(Path, "read_text", refusing)

    words = mentioned(root, Runner())

    assert "service" in words
    assert "NOWHERE" not in words


def test_what_tests_read_needs_no_declaration(root: Path) -> None:
    (root / "tests").mkdir()
    (root / "tests" / "test_x.py").write_text('import os\nos.environ["ONLY_IN_TESTS"]\n')

    assert codes(root, KEY="x") == []


def test_a_library_is_not_asked_what_its_users_set(root: Path) -> None:
    (root / "shop.py").write_text(
        'import os\nos.environ["PORT"], os.environ["KEY"], os.environ["OLD"], os.environ["NEW"]\n'
    )
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(text.replace('service.command = "x"\n', ""))

    assert codes(root, KEY="x") == []


def test_what_cannot_be_resolved_is_named_for_its_environment(root: Path) -> None:
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(text.replace('["b"]', '["${NOWHERE}"]'))

    assert codes(root, KEY="x") == ["env-unresolved error pyproject.toml:5"]


def test_two_environments_are_compared_with_secrets_masked(root: Path) -> None:
    found = {
        each.name: each
        for each in compare(
            load_values(root, "staging", process={}), load_values(root, "live", process={"KEY": "another"})
        )
    }

    assert {name: each.state for name, each in found.items()} == {
        "KEY": "different", "OLD": "only in the first", "PORT": "different", "WHERE": "equal",
    }  # fmt: skip
    assert (found["KEY"].first, found["KEY"].second) == (MASK, MASK)
    assert (found["PORT"].first, found["PORT"].second) == ("80", "81")


@pytest.mark.security
def test_neither_task_shows_a_secret(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEY", raising=False)
    (root / "env" / "live.env").write_text("PORT=very-secret\n")
    for options in ({"check": True}, {"diff": ["staging", "live"]}):
        printer = RecordingPrinter()
        try:
            env(TaskContext(printer, root), **options)
        except TaskFailedError:
            assert "check" in options
        assert "very-secret" not in printer.text
        assert "very-secret" not in printer.mask(json.dumps(printer.documents))


def test_two_different_environments_are_needed_to_compare(root: Path) -> None:
    for names in (["staging"], ["staging", "staging"]):
        with pytest.raises(UsageError, match="two environments"):
            env(TaskContext(RecordingPrinter(), root), diff=names)
    with pytest.raises(UsageError, match="known: staging, live"):
        env(TaskContext(RecordingPrinter(), root))
    with pytest.raises(UsageError, match="all environments"):
        env(TaskContext(RecordingPrinter(), root), env="live", check=True)


def test_a_port_that_each_start_gets_from_handrail_need_not_be_declared(root: Path) -> None:
    contract = root / "env" / "example.env"
    contract.write_text(contract.read_text().replace("# type: port, needed by: app, secret: no\nPORT=\n", ""))
    (root / "shop.py").write_text('import os\nint(os.environ["PORT"]), os.environ["KEY"], os.environ.get("OLD")\n')

    assert not [each for each in codes(root, KEY="x") if each.startswith("env-undeclared")]
