"""A host that has committed although its answer was lost: asked to return, it is rolled back like one that answered."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy.fleet import Fleet
from handrail.deploy.returning import bring_back
from handrail.deploy.running import Job, Run
from handrail.deploy.session import HostError

pytestmark = pytest.mark.unit

TARGET: Any = SimpleNamespace(
    environment="live", app="shop", hosts=["h"], connections=4, lease=0.01, keep=3, drain=0.0, strategy="restart"
)
PRINTER: Any = SimpleNamespace(warn=print)


class FakeSession:
    """A host that serves 2-b, which it has committed."""

    def __init__(self, outcome: dict[str, Any] | HostError, refuses: str = "") -> None:
        self.host, self.is_open = "h", True
        self.outcome, self.refuses = outcome, refuses
        self.asked: list[str] = []

    def call(self, op: str, **_: Any) -> dict[str, Any]:
        self.asked.append(op)
        if op == self.refuses:
            raise HostError("h", "unhealthy", "the old one does not start")
        if op == "return" and len(self.asked) == 1:
            if isinstance(self.outcome, HostError):
                raise self.outcome
            return self.outcome
        return {"moves": False}

    def revive(self) -> None: ...

    def ping(self) -> None: ...

    def close(self, *, at_once: bool = False) -> None: ...


def brought_back(session: Any, *, before: str = "1-a") -> tuple[Run, dict[str, str], list[str]]:
    with Fleet(TARGET, Path(), ["h"], lambda *_: session) as fleet:
        run = Run(Job(TARGET, Path(), PRINTER, ["h"]), fleet, "deploy", release="2-b")
        run.previous, run.services, run.activated = {"h": before}, {"h": None}, {"h"}
        return run, *bring_back(run, "why")


@pytest.mark.parametrize(
    "outcome",
    [HostError("h", "committed", "this host has already committed 2-b"), {"serves": "2-b", "ok": True, "why": ""}],
    ids=["while it commits", "after it"],
)
def test_a_host_that_had_committed_is_rolled_back(outcome: dict[str, Any] | HostError) -> None:
    session = FakeSession(outcome)
    run, states, broken = brought_back(session)
    assert (states, broken) == ({"h": "returned to 1-a"}, [])
    assert session.asked[1:] == ["lock", "begin", "activate", "verify", "settle", "commit", "retire"]
    assert run.staying == set()


def test_a_host_that_cannot_be_rolled_back_is_left_decided() -> None:
    session = FakeSession({"serves": "2-b", "ok": True, "why": ""}, refuses="verify")
    run, states, broken = brought_back(session)
    assert session.asked[-2:] == ["verify", "return"]
    assert states == {"h": "current is 2-b, which it was told to keep: the old one does not start"}
    assert (broken, run.staying) == (["h"], {"h"})


def test_an_old_instance_that_does_not_end_is_no_reason_to_call_for_a_person(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, states, broken = brought_back(FakeSession({"serves": "2-b", "ok": True, "why": ""}, refuses="retire"))
    assert (states, broken) == ({"h": "returned to 1-a"}, [])
    assert "was not stopped" in capsys.readouterr().out


def test_a_host_that_never_committed_and_returned_is_asked_once() -> None:
    session = FakeSession({"serves": "1-a", "ok": True, "why": ""})
    assert brought_back(session)[1] == {"h": "returned to 1-a"}
    assert session.asked == ["return"]
