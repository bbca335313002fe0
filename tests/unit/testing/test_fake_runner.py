from __future__ import annotations

from pathlib import Path

import pytest

from handrail.errors import TaskFailedError, UsageError
from handrail.testing import FakeRunner

pytestmark = pytest.mark.unit


def test_commands_are_recorded_and_succeed_in_silence(tmp_path: Path) -> None:
    runner = FakeRunner()
    result = runner.run(["git", "status"], cwd=tmp_path, env={"A": "1"}, input="x")
    assert (result.returncode, result.stdout) == (0, "")
    (call,) = runner.calls
    assert (call.argv, call.cwd, call.env, call.input) == (["git", "status"], tmp_path, {"A": "1"}, "x")
    assert runner.commands == [["git", "status"]]


def test_the_latest_answer_that_fits_the_first_words_wins() -> None:
    runner = FakeRunner()
    runner.answer("git", stdout="any")
    runner.answer("git", "log", stdout="log")
    assert runner.run(["/usr/bin/git", "log", "-1"]).stdout == "log"
    assert runner.run(["git", "status"]).stdout == "any"


def test_a_scripted_failure_is_the_real_runners_error() -> None:
    runner = FakeRunner()
    runner.answer("uv", returncode=-9, stderr="boom\n")
    with pytest.raises(TaskFailedError, match="SIGKILL") as caught:
        runner.run(["uv", "build"])
    assert caught.value.lines == ["boom"]
    assert runner.run(["uv", "build"], check=False).returncode == -9


def test_a_missing_program_can_be_played() -> None:
    runner = FakeRunner()
    runner.answer("docker", missing=True)
    with pytest.raises(UsageError, match="docker was not found"):
        runner.run(["docker", "ps"])


def test_an_effect_does_what_the_command_would_do(tmp_path: Path) -> None:
    runner = FakeRunner()
    runner.answer("touch", effect=lambda call: Path(call.argv[1]).touch())
    seen: list[str] = []
    runner.answer("echo", stdout="a\nb\n")
    runner.run(["touch", str(tmp_path / "x")])
    runner.run(["echo"], stream=seen.append)
    assert (tmp_path / "x").exists()
    assert seen == ["a", "b"]
