"""What ``inv status`` says of a periodic job's last run."""

from __future__ import annotations

from typing import Any

import pytest

from handrail.deploy.status import show_jobs
from handrail.testing import RecordingPrinter

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("code", "told", "is_warned_of"),
    [
        (0, "ok", False),
        (3, "exit code 3", True),
        (-15, "signal 15", True),
        (None, "ended unseen: its scheduler had been killed", False),
    ],
)
def test_how_a_run_ended_is_told_where_anybody_saw_it(code: int | None, told: str, is_warned_of: bool) -> None:
    printer = RecordingPrinter()
    job: Any = {"process": "nightly", "schedule": "0 3 * * *", "next": 0.0, "running": None, "why": ""}
    job["last"] = {"ended": 1.0, "code": code, "release": "1-abc"}
    show_jobs({"environment": "test", "hosts": [{"host": "a", "processes": [job]}]}, printer)
    assert told in printer.text
    assert ("the last run of nightly" in printer.text) == is_warned_of
