"""The time in which a canary is watched: on which hosts, and what is kept of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.config.schema import Canary
from handrail.deploy import baking
from handrail.deploy.fleet import Fleet
from handrail.testing.printer import RecordingPrinter

pytestmark = pytest.mark.unit

SIDE = {"requests": 1000, "errors": 0, "times": {"30": 1000}}


class Session:
    """A host whose canary has answered enough requests."""

    is_open = True

    def __init__(self, host: str, *_: Any) -> None:
        self.host = host
        self.asked: list[str] = []

    def revive(self) -> None: ...

    def ping(self) -> None: ...

    def call(self, op: str, **_: Any) -> dict[str, Any]:
        self.asked.append(op)
        return {"canary": SIDE, "rest": SIDE}


def baked(monkeypatch: pytest.MonkeyPatch, *, covered: set[str]) -> Any:
    """Bake a good canary on the hosts a and b."""
    monkeypatch.setattr(baking, "LOOK_EVERY", 0.01)
    rules = Canary(steps=["25%"], bake=0.02, min_requests=100)
    target: Any = SimpleNamespace(hosts=["a", "b"], connections=4, lease=60.0, canary=rules, environment="test")
    make: Any = Session
    fleet = Fleet(target, Path(), ["a", "b"], make)
    run: Any = SimpleNamespace(
        job=SimpleNamespace(target=target, printer=RecordingPrinter()), fleet=fleet, moving={"a", "b"},
        previous={"a": "1-a", "b": "1-a"}, covered=covered, canary=[], deploy="d",
        step=lambda phase, work, hosts: fleet.each(phase, work, hosts)[0],
    )  # fmt: skip
    baking.bake(run)
    return run


def asked(run: Any) -> dict[str, list[str]]:
    return {host: sorted(set(session.asked)) for host, session in run.fleet.sessions.items()}


def test_behind_the_maintenance_page_no_canary_waits_for_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    run = baked(monkeypatch, covered={"a", "b"})
    assert run.canary == []
    assert asked(run) == {"a": [], "b": []}
    assert "visitors of a, b get the maintenance page: no canary is baked there" in run.job.printer.text


def test_a_canary_is_baked_where_there_are_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    run = baked(monkeypatch, covered={"a"})
    assert [look["verdict"] for look in run.canary] == ["promote"]
    assert asked(run) == {"a": [], "b": ["measure", "split"]}


def test_how_long_a_canary_was_watched_is_kept_with_when_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    run = baked(monkeypatch, covered=set())
    for host in ("a", "b"):
        times = run.fleet.times(host)
        assert times["seconds"]["bake"] >= 0.02
        assert times["starts"]["bake"] >= 0
