from __future__ import annotations

import errno
import json
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from invoke.config import Config
from invoke.context import Context
from invoke.exceptions import Exit, UnexpectedExit
from invoke.runners import Result

from handrail.errors import DeployFailedError, UsageError
from handrail.tasks.base import HandrailTask, TaskContext, task, values_after_dashes
from handrail.testing import RecordingPrinter

pytestmark = pytest.mark.unit

SECRET = "hunter2-secret"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in a project, on a typed command line."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.handrail]\napp = "shop"\n\n[tool.handrail.environments.staging]\nhosts = ["web-1"]\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/venv/bin/inv", "try", "--name", "a b"])
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "CI", "HANDRAIL_VERBOSE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def make(body: Callable[..., Any], **kw: Any) -> HandrailTask:
    return task("try", group="check", example="inv try", **kw)(body)


def run(body: Callable[..., Any], **values: Any) -> int:
    """Run ``body`` as Invoke would; return the exit code."""
    try:
        make(body)(Context(), **values)
    except Exit as end:
        return end.code
    return 0


def test_the_function_gets_what_it_needs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["inv", "try", "--", "-k", "a b", "--"])
    seen: list[TaskContext] = []

    def body(c: TaskContext, name: str = "") -> None:
        seen.append(c)

    assert run(body, name="x") == 0
    assert seen[0].root == project
    assert seen[0].args == ["-k", "a b", "--"]
    assert seen[0].json is False


def test_an_expected_failure_is_a_card_and_its_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    def body(c: TaskContext) -> None:
        raise DeployFailedError("upload stopped", host="web-1", step="upload")

    assert run(body) == 4
    shown = capfd.readouterr().err
    assert "try failed: upload stopped" in shown
    assert "again    inv try --name 'a b'" in shown


def test_a_line_that_cannot_succeed_as_it_stands_is_not_advised(capfd: pytest.CaptureFixture[str]) -> None:
    def body(c: TaskContext, name: str = "") -> None:
        raise DeployFailedError("nothing is held any more", next_step="inv deploy", is_repeatable=False)

    assert run(body) == 4
    shown = capfd.readouterr().err
    assert "inv deploy" in shown
    assert "again" not in shown


def test_a_bug_is_one_line_and_a_private_trace_without_secrets(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def body(c: TaskContext) -> None:
        c.printer.hide([SECRET])
        raise ZeroDivisionError(f"by {SECRET}\nmore")

    assert run(body) == 1
    shown = capfd.readouterr()
    (trace,) = (project / ".handrail" / "traces").iterdir()
    assert "unexpected ZeroDivisionError: by" in shown.err
    assert str(trace) in shown.err
    assert "Traceback" not in shown.err + shown.out
    assert stat.S_IMODE(trace.stat().st_mode) == 0o600
    assert "Traceback" in trace.read_text()
    assert SECRET not in shown.err + trace.read_text()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "dist/a.whl"), "try: dist/a.whl: permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), "try: no space left on device"),
    ],
)
def test_a_file_that_the_system_refuses_is_no_bug_and_its_trace_is_kept(
    project: Path, capfd: pytest.CaptureFixture[str], error: OSError, said: str
) -> None:
    def body(c: TaskContext) -> None:
        raise error

    assert run(body) == 1
    shown = capfd.readouterr().err
    assert said in shown
    assert "unexpected" not in shown
    (trace,) = (project / ".handrail" / "traces").iterdir()
    assert f"trace: {trace}" in shown
    trace.unlink()
    trace.parent.rmdir()
    trace.parent.parent.rmdir()
    (project / ".handrail").write_text("")  # where no trace can be written, none is shown
    assert run(body) == 1
    shown = capfd.readouterr().err
    assert said in shown
    assert "race" not in shown


def test_an_error_of_the_system_that_names_no_file_is_a_bug(capfd: pytest.CaptureFixture[str]) -> None:
    def body(c: TaskContext) -> None:
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    assert run(body) == 1
    assert "unexpected ConnectionResetError" in capfd.readouterr().err


def test_an_interrupt_ends_with_130(capfd: pytest.CaptureFixture[str]) -> None:
    def body(c: TaskContext) -> None:
        raise KeyboardInterrupt

    assert run(body) == 130
    assert "Traceback" not in capfd.readouterr().err


def test_a_command_of_invoke_that_failed_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    def body(c: TaskContext) -> None:
        raise UnexpectedExit(Result("before\n", "seen\n", command="make it", exited=7, hide=("stdout",)))

    assert run(body) == 1
    shown = capfd.readouterr().err
    assert "make it" in shown
    assert "seen" not in shown
    assert "exit code 7" in shown
    assert "| before" in shown


def test_an_exit_of_the_task_passes_unchanged(capfd: pytest.CaptureFixture[str]) -> None:
    def body(c: TaskContext) -> None:
        raise Exit(code=42)

    assert run(body) == 42
    assert capfd.readouterr().err == ""


def test_a_reader_that_left_ends_the_task_quietly(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)

    def body(c: TaskContext) -> None:
        raise BrokenPipeError

    assert run(body) == 141
    sys.stdout.close()
    assert capfd.readouterr().err == ""


def test_a_failure_with_json_leaves_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    def body(c: TaskContext, json: bool = False) -> None:
        c.printer.info("spoken")
        c.printer.result({"state": "mixed"})
        raise UsageError("no such host")

    assert run(body, json=True) == 2
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert document["state"] == "mixed"
    assert document["error"]["message"] == "no such host"
    assert "spoken" in shown.err


@pytest.mark.parametrize("values", [{}, {"env": None}])
def test_a_missing_environment_names_the_known_ones(values: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    ran = []

    def body(c: TaskContext, env: str) -> None:
        ran.append(env)

    assert run(body, **values) == 2
    assert not ran
    assert capfd.readouterr().err == "error: try: needs --env; known: staging\nnext: inv try --env staging\n"


def test_a_task_that_another_task_calls_leaves_failures_to_it() -> None:
    def body(c: TaskContext) -> None:
        raise UsageError("inner")

    with pytest.raises(UsageError, match="inner"):
        make(body)(TaskContext(RecordingPrinter()))


def test_echo_makes_the_printer_talkative() -> None:
    seen: list[bool] = []
    config = Config(overrides={"run": {"echo": True}})
    make(lambda c: seen.append(c.printer.verbose))(Context(config))
    make(lambda c: seen.append(c.printer.verbose))(Context())
    assert seen == [True, False]


def test_the_example_is_part_of_the_documentation() -> None:
    def body(c: TaskContext) -> None:
        """Try it."""

    assert str(make(body).__doc__).splitlines() == ["Try it.", "", "Example:", "  inv try"]


@pytest.mark.parametrize(
    ("argv", "values"),
    [(["inv", "test"], []), (["inv", "--"], []), (["inv", "--", "a", "--", "b c"], ["a", "--", "b c"])],
)
def test_words_after_two_dashes_are_a_list(argv: list[str], values: list[str]) -> None:
    assert values_after_dashes(argv) == values
