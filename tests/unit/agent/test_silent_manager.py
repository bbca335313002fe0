"""What the agent makes of a process manager that hangs, is killed or is not there."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from handrail.agent.app import App
from handrail.agent.service import Service


def served_by(tmp_path: Path, script: str, **changes: Any) -> Service:
    spec = {"pid": ["sh", "-c", script], "health": "", "health_timeout": 3.0, "health_interval": 0.02, "port": 1}
    return Service(App(str(tmp_path), "shop"), {**spec, **changes})


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["sleep", "60"], "the process manager gave no answer: `sleep 60` was stopped after 1 s"),
        (["sh", "-c", "kill -KILL $$"], "gave no answer: `sh -c kill -KILL $$` was killed by signal 9"),
        (
            ["/nowhere/systemctl", "show"],
            "gave no answer: `/nowhere/systemctl show` exited with 127: /nowhere/systemctl: No such file",
        ),
    ],
)
def test_a_manager_that_gives_no_answer_has_not_said_that_nothing_runs(
    tmp_path: Path, argv: list[str], why: str
) -> None:
    report = served_by(tmp_path, "", pid=argv).look("1-abc", 1.0)
    assert why in report["why"]
    assert (report["pid"], report["ok"]) == (None, False)


def test_a_question_that_hangs_is_asked_again_before_the_health_wait_is_over(tmp_path: Path) -> None:
    # As a stopped process does, the first question ignores SIGTERM.
    once = f"test -e {tmp_path}/asked && echo {os.getpid()} && exit; touch {tmp_path}/asked; trap '' TERM; sleep 60"
    service = served_by(tmp_path, once, health_timeout=5.0)
    began = time.monotonic()
    report = service.wait_until_healthy("")
    assert (report["ok"], report["pid"]) == (True, os.getpid())
    assert time.monotonic() - began < 10


def test_a_health_wait_ends_with_what_the_manager_did_not_answer(tmp_path: Path) -> None:
    began = time.monotonic()
    report = served_by(tmp_path, "sleep 60", health_timeout=1.5).wait_until_healthy("1-abc")
    assert "gave no answer" in report["why"]
    assert time.monotonic() - began < 10
