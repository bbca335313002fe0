from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.commands import Runner
from handrail.deploy.hooks import hook_argv, run_hooks
from handrail.deploy.run import _tell_others
from handrail.errors import ConfigError, TaskFailedError
from handrail.testing import RecordingPrinter

pytestmark = pytest.mark.unit


class Lines:
    """The part of a printer that hooks use."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def command(self, text: str) -> None:
        self.commands.append(text)

    def output(self, line: str, host: str = "") -> None:
        self.lines.append(line)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def python(code: str) -> str:
    return f"'{sys.executable}' -c \"{code}\""


def run(commands: list[str], root: Path, *, when: str = "after_upload", facts: Any = None) -> Lines:
    printer = Lines()
    run_hooks(commands, when, facts or {}, root, Runner(), printer)  # type: ignore[arg-type]
    return printer


def test_a_hook_runs_in_the_project_and_knows_the_facts(tmp_path: Path) -> None:
    code = "import json, os; json.dump([os.getcwd(), dict(os.environ)], open('seen', 'w'))"

    run([python(code)], tmp_path, facts={"env": "staging", "HANDRAIL_RELEASE": "12-abc"})

    cwd, environ = json.loads((tmp_path / "seen").read_text())
    assert cwd == str(tmp_path.resolve())
    assert (environ["HANDRAIL_ENV"], environ["HANDRAIL_RELEASE"]) == ("staging", "12-abc")
    assert environ["PATH"] == os.environ["PATH"]


def test_what_a_hook_prints_is_shown(tmp_path: Path) -> None:
    printer = run([python("print('warmed up')")], tmp_path)

    assert "warmed up" in printer.lines
    assert len(printer.commands) == 1


def test_a_task_of_the_project_runs_with_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(
        "from invoke import task\n@task\ndef warm(c, path):\n    open('seen', 'w').write(path)\n"
    )

    run(["inv:warm --path '/a b'"], tmp_path)

    assert (tmp_path / "seen").read_text() == "/a b"


def test_the_first_hook_that_fails_ends_the_step_and_is_named(tmp_path: Path) -> None:
    failing = python("print('no luck'); raise SystemExit(3)")

    with pytest.raises(TaskFailedError) as caught:
        run([failing, python("open('after', 'w')")], tmp_path, when="before_activate")

    assert caught.value.step == "hook before_activate"
    assert caught.value.returncode == 3
    assert "before_activate" in caught.value.message
    assert not (tmp_path / "after").exists()


def test_a_failing_hook_on_failure_is_a_warning_and_the_next_one_runs(tmp_path: Path) -> None:
    hooks = [python("raise SystemExit(3)"), python("open('after', 'w')")]

    printer = run(hooks, tmp_path, when="on_failure")

    assert len(printer.warnings) == 1
    assert (tmp_path / "after").exists()


@pytest.mark.parametrize("command", ["", "  ", "inv:", "inv: ", "echo 'open"])
def test_a_hook_that_cannot_be_read_stops_before_any_of_them_runs(tmp_path: Path, command: str) -> None:
    with pytest.raises(ConfigError, match=r"tool\.handrail\.hooks\.after_upload"):
        run([python("open('ran', 'w')"), command], tmp_path)

    assert not (tmp_path / "ran").exists()


@pytest.mark.security
def test_facts_never_become_part_of_the_command_line(tmp_path: Path) -> None:
    facts = {"hosts": "web1; touch pwned", "commit": "$(touch pwned)"}

    run([python("import sys; assert len(sys.argv) == 1")], tmp_path, facts=facts)

    assert hook_argv("echo $HANDRAIL_HOSTS", "after_upload") == ["echo", "$HANDRAIL_HOSTS"]
    assert not (tmp_path / "pwned").exists()


def test_what_follows_the_commit_is_told_the_hosts_that_were_deployed_to(tmp_path: Path) -> None:
    command = python("import os; open('told', 'w').write(os.environ['HANDRAIL_HOSTS'])")
    shop: Any = SimpleNamespace(
        root=tmp_path, hosts=["web1", "web2"], printer=RecordingPrinter(), runner=Runner(),
        target=SimpleNamespace(environment="test", app="shop", tag=False, notify=[]),
        project=SimpleNamespace(hooks=SimpleNamespace(after_commit=[command])),
    )  # fmt: skip
    known = ("release", "previous", "commit", "bundle")
    _tell_others(shop, {**dict.fromkeys(known, "x"), "command": "deploy", "hosts": [{"host": "web2"}]})

    assert (tmp_path / "told").read_text() == "web2"
