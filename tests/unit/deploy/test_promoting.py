"""A promotion from its start to its end, on hosts that are told what to answer."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from handrail.deploy import running
from handrail.deploy.behind import Standing
from handrail.deploy.fleet import Fleet
from handrail.deploy.promote import promote
from handrail.deploy.running import Job, Run
from handrail.errors import (
    DeployReturnedError,
    InterruptedByUserError,
    PreflightError,
    TaskFailedError,
    UnreachableError,
)
from handrail.tasks.deploy import _finish
from handrail.testing import RecordingPrinter

pytestmark = pytest.mark.unit

TARGET: Any = SimpleNamespace(
    environment="test", app="shop", hosts=["a", "b"], connections=4, lease=60.0, service=None, strategy="blue-green",
    watch=0.0, drain=0.0, url="",
)  # fmt: skip
SCHEMA = {"before": "0001", "after": "0002"}
HELD = {
    "step": "held", "deploy": "d2", "release": "2-b", "from": "1-a", "commit": "c2", "bundle": "f" * 64, "number": 2,
    "held": {"who": "ada@desk", "since": 0.0, "slot": "green", "port": 8001},
}  # fmt: skip
MIGRATED = {**HELD, "migrate_ran": True, "migrated": True, "schema": SCHEMA, "irreversible": ["0002_drop"]}


class FakeSession:
    """A host that holds 2-b beside 1-a; ``a`` is the one that migrated."""

    is_open, bytes_sent, channels = True, 0, 1

    held: ClassVar[dict[str, Any]] = {"a": MIGRATED, "b": HELD}
    away: ClassVar[set[str]] = set()
    pressed_at = ""
    told: ClassVar[dict[tuple[str, str], dict[str, Any]]] = {}

    def __init__(self, host: str, *_: Any, **__: Any) -> None:
        self.host = host

    def open(self) -> dict[str, Any]:
        if self.host in self.away:
            raise UnreachableError(f"{self.host}: no answer within 10 s", host=self.host)
        return {
            "current": "1-a", "good": ["1-a"], "history": [], "scale": {}, "number": 2,
            "transaction": self.held[self.host],
        }  # fmt: skip

    def call(self, op: str, **request: Any) -> dict[str, Any]:
        self.told[self.host, op] = request
        if op == self.pressed_at:
            os.kill(os.getpid(), signal.SIGINT)
        if op == "lock":
            state = self.open()
            return {**state, "taken": True, "recovered": "", "left": "", "newest": None}
        return {"serves": "1-a", "ok": True, "why": "", "switched_ago": 0.0, "moves": True}

    def post(self, op: str, **request: Any) -> int:
        return 1

    def wait(self, _number: int) -> dict[str, Any]:
        return {"switched_ago": None, "moves": True, "page": False}

    def ping(self) -> None: ...

    def revive(self) -> None: ...

    def cancel(self) -> None: ...

    def close(self, *, at_once: bool = False) -> None: ...


@pytest.fixture(autouse=True)
def _hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeSession, "told", {})
    monkeypatch.setattr(running, "Session", FakeSession)
    monkeypatch.setattr(running, "service_for", lambda *_: None)


def job(*hosts: str, **facts: Any) -> Job:
    return Job(TARGET, Path(), RecordingPrinter(), list(hosts or TARGET.hosts), **facts)


def test_a_good_promotion_tells_what_the_held_migration_did() -> None:
    document = promote(job())
    assert (document["result"], document["release"]) == ("good", "2-b")
    assert (document["irreversible"], document["schema"]) == (["0002_drop"], SCHEMA)


def test_a_failed_promotion_says_what_stays_in_the_database_and_how_to_go_on() -> None:
    def fail_before_commit(moment: str, _facts: Any) -> None:
        if moment == "before_commit":
            raise TaskFailedError("the smoke test said no")

    with pytest.raises(DeployReturnedError, match="the smoke test said no") as failed:
        promote(job(run_hooks=fail_before_commit))
    again = "fix the cause, then deploy it again (nothing needs to travel); 0002_drop ran and cannot be undone"
    assert failed.value.next_step.startswith(again)
    assert failed.value.host_states == {"a": "returned to 1-a", "b": "returned to 1-a"}
    assert not failed.value.is_repeatable


def test_an_interrupted_promotion_says_that_what_was_held_is_deployed_again_and_what_stays() -> None:
    def press_ctrl_c(moment: str, _facts: Any) -> None:
        if moment == "before_commit":
            raise KeyboardInterrupt

    with pytest.raises(InterruptedByUserError, match="every host serves what it served before") as ended:
        promote(job(run_hooks=press_ctrl_c))
    again = "deploy it again (nothing needs to travel); 0002_drop ran and cannot be undone"
    assert ended.value.next_step.startswith(again)


def test_a_release_that_is_held_warns_of_what_it_did_that_cannot_be_undone() -> None:
    printer = RecordingPrinter()
    told = {"environment": "test", "release": "2-b", "previous": "1-a", "seconds": 1.0, "irreversible": ["0002_drop"]}
    c: Any = SimpleNamespace(printer=printer)
    _finish(c, lambda: {**told, "result": "held", "left_out": {"b": "b: no answer within 10 s"}})
    assert "0002_drop ran and cannot be undone" in printer.text
    assert "b was left out, and is remembered with the promotion: no answer within 10 s" in printer.text


OWED = {"b": {"release": "2-b", "kind": "deploy", "since": 2.0, "serves": "1-a", "why": "b: no answer"}}


def test_who_is_left_out_of_a_hold_is_told_to_the_hosts_that_hold_it() -> None:
    with Fleet(TARGET, Path(), ["a"], FakeSession) as fleet:  # type: ignore[arg-type]
        run = Run(job(hold=True), fleet, "deploy", release="2-b", skipped={"b": "b: no answer"})
        run.started, run.standing = 2.0, Standing("1-a")
        run.hold()
    assert FakeSession.told["a", "hold"]["missing"] == OWED


def test_a_promotion_remembers_who_was_left_out_of_the_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeSession, "held", {"a": {**MIGRATED, "missing": OWED}, "b": None})
    with pytest.raises(PreflightError, match="do not hold the same release") as refused:
        promote(job())
    assert refused.value.next_step.startswith("inv promote --env test --hosts a goes on without them; ")
    assert promote(job("a"))["behind"] == OWED
    assert FakeSession.told["a", "commit"]["missing"] == OWED


@pytest.mark.parametrize("owed", [OWED, {}], ids=["and was left out of the hold", "since it holds the release"])
def test_a_promotion_may_leave_a_host_out_that_is_away(monkeypatch: pytest.MonkeyPatch, owed: dict[str, Any]) -> None:
    monkeypatch.setattr(FakeSession, "held", {"a": {**MIGRATED, "missing": owed}})
    monkeypatch.setattr(FakeSession, "away", {"b"})
    with pytest.raises(PreflightError, match="b: no answer"):
        promote(job())
    behind = promote(job(skip_unreachable=True))["behind"]
    assert (behind["b"]["release"], behind["b"]["serves"]) == ("2-b", "1-a")
    assert FakeSession.told["a", "commit"]["missing"] == behind


def test_an_interrupt_while_the_old_instances_drain_returns_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeSession, "pressed_at", "retire")
    promotion = job()
    assert promote(promotion)["result"] == "good"
    assert not any(op in ("return", "begin") for _, op in FakeSession.told)
    printer: Any = promotion.printer
    assert "interrupted after the commit: 2-b stays" in printer.text
