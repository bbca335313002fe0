"""What the agent makes of a process manager that hangs, is killed or is not there."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from handrail.agent.app import App
from handrail.agent.protocol import MOST_LINES
from handrail.agent.refusal import Refused
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


def test_as_many_lines_as_were_asked_for_come_without_our_own_health_checks(tmp_path: Path) -> None:
    script = 'seq "$1" | sed "s/.*[1-9]$/handrail-health &/"'
    service = served_by(tmp_path, "", logs=["sh", "-c", script, "sh", "{lines}"])
    assert len(service.read_logs(MOST_LINES)) == MOST_LINES
    assert service.read_logs(2) == ["10", "20"]
    assert service.read_logs(0) == []


def test_a_log_that_cannot_be_read_is_told_to_who_asks_for_it_alone(tmp_path: Path) -> None:
    service = served_by(tmp_path, "", logs=["sh", "-c", "echo sudo: a password is required; exit 1"])
    with pytest.raises(Refused, match=r"cannot read the logs: .* exited with 1: sudo: a password is required"):
        service.read_logs(5)
    assert service.logs() == []


def test_a_health_wait_ends_with_what_the_manager_did_not_answer(tmp_path: Path) -> None:
    began = time.monotonic()
    report = served_by(tmp_path, "sleep 60", health_timeout=1.5).wait_until_healthy("1-abc")
    assert "gave no answer" in report["why"]
    assert time.monotonic() - began < 10
