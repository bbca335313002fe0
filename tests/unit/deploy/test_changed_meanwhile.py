"""A run that waited for a lock: what it was told before may no longer be so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy import engine, running, scale
from handrail.deploy.fleet import Fleet
from handrail.deploy.running import Job, Run
from handrail.errors import PreflightError

pytestmark = pytest.mark.unit


def entry(release: str, came_from: str | None, finished: float, **facts: Any) -> dict[str, Any]:
    return {
        "release": release, "from": came_from, "kind": "deploy", "result": "good", "finished": finished,
        "deploy": f"d-{release}", **facts,
    }  # fmt: skip


TWO = [entry("1-a", None, 1.0), entry("2-b", "1-a", 2.0)]
THREE = [*TWO, entry("3-c", "2-b", 3.0)]


def state(history: list[dict[str, Any]], **numbers: int) -> dict[str, Any]:
    good = [one["release"] for one in history]
    return {"current": good[-1], "good": good, "history": history, "scale": numbers, "transaction": None}


class FakeSession:
    """A host that somebody else changes from ``states[0]`` to ``states[1]`` before its lock is got."""

    is_open = True
    asked = 0

    def __init__(self, host: str, states: list[dict[str, Any]], recovered: str = "") -> None:
        self.host, self.states, self.recovered = host, states, recovered
        self.facts: dict[str, Any] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def open(self) -> dict[str, Any]:
        self.facts = {**self.states[0], "address": self.host}
        return self.facts

    def look(self) -> dict[str, Any]:
        self.facts = {**self.states[1], "address": self.host}
        return self.facts

    def call(self, op: str, **request: Any) -> dict[str, Any]:
        self.calls.append((op, request))
        if op == "scale":
            return {"scale": request["scale"], "web": {"how": ""}}
        now = self.states[1]
        answer = {"taken": True, "recovered": self.recovered, "left": "", "transaction": None}
        answer["number"] = len(now["history"])
        newest = now["history"][-1]["finished"]
        return {**answer, "current": now["current"], "scale": now["scale"], "newest": newest}

    def ask_with_hello(self, *_: Any, **__: Any) -> None: ...

    def wait(self, _number: int) -> dict[str, Any]:
        return {"taken": False}

    def ping(self) -> None: ...

    def close(self, *, at_once: bool = False) -> None: ...


TARGET: Any = SimpleNamespace(
    environment="test", app="shop", hosts=["h"], connections=4, lease=60.0, processes={}, strategy="restart"
)


def fleet_of(session: FakeSession) -> Fleet:
    return Fleet(TARGET, Path(), ["h"], lambda *_: session)  # type: ignore[arg-type, return-value]


@pytest.fixture(autouse=True)
def services(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (running, scale):
        monkeypatch.setattr(module, "service_for", lambda _target, facts: {"numbers": dict(facts["scale"])})


@pytest.fixture
def printer() -> Any:
    said: list[str] = []
    return SimpleNamespace(info=said.append, warn=said.append, table=lambda *_: None, said=said)


def met(session: FakeSession, printer: Any) -> Run:
    run = Run(Job(TARGET, Path(), printer, ["h"]), fleet_of(session), "deploy")
    run.connect()
    return run


def test_a_deploy_runs_its_processes_in_the_numbers_of_the_moment_when_it_got_the_lock(printer: Any) -> None:
    run = met(FakeSession("h", [state(TWO, worker=1), state(TWO, worker=3)]), printer)
    assert run.services == {"h": {"numbers": {"worker": 1}}}
    run.lock()
    assert run.services == {"h": {"numbers": {"worker": 3}}}


def test_a_deploy_that_waited_for_another_one_goes_on_from_that_ones_release(printer: Any) -> None:
    run = met(FakeSession("h", [state(TWO), state(THREE)]), printer)
    assert run.lock()
    assert run.standing.release == "3-c"
    assert run.previous == {"h": "3-c"}


def test_a_host_that_is_as_it_was_is_not_asked_again(printer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession("h", [state(TWO), state(TWO)])
    run = met(session, printer)
    monkeypatch.setattr(session, "look", None)
    assert not run.lock()


def test_a_rollback_does_not_go_where_nobody_meant_it_to_go(printer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession("h", [state(TWO), state(THREE)])
    monkeypatch.setattr(running, "Fleet", lambda *_: fleet_of(session))
    monkeypatch.setattr(Run, "show_board", lambda *_: None)
    monkeypatch.setattr(running, "document", lambda *_: {})
    with pytest.raises(PreflightError, match="has changed while their locks were waited for"):
        engine.roll_back(Job(TARGET, Path(), printer, ["h"]), "", lambda *_: None)
    assert "begin" not in [op for op, _ in session.calls]


def test_another_scale_keeps_what_somebody_else_has_changed_before_it(
    printer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = FakeSession("h", [state(TWO, worker=1), state(TWO, worker=3)], recovered="returned from 3-c")
    monkeypatch.setattr(scale, "Fleet", lambda *_: fleet_of(session))
    document = scale.run_scale(TARGET, Path(), ["web=4"], printer)
    assert document["hosts"] == {"h": {"worker": 3, "web": 4}}
    assert printer.said == ["h: returned from 3-c"], "what a dead deploy had left is told"
