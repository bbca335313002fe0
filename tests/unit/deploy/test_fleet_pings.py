"""Who pings the agents, and from when on: an agent that hears nothing for a lease takes its client for dead."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy.fleet import Fleet

pytestmark = pytest.mark.unit

TARGET: Any = SimpleNamespace(environment="test", connections=4, lease=1.0)


class FakeSession:
    def __init__(self, host: str) -> None:
        self.host, self.is_open = host, False
        self.pinged = threading.Event()

    def open(self) -> dict[str, Any]:
        self.is_open = True
        return {}

    def ping(self) -> None:
        self.pinged.set()

    def close(self, *, at_once: bool = False) -> None: ...


def fleet_of(*hosts: str) -> Fleet:
    make: Any = lambda host, *_: FakeSession(host)  # noqa: E731 - stands for the class of a session
    return Fleet(TARGET, Path(), hosts, make)


def test_a_host_that_has_connected_is_pinged_while_another_one_still_tries() -> None:
    with fleet_of("quick", "slow") as fleet:
        quick: Any = fleet.sessions["quick"]
        fleet.sessions["slow"].open = lambda: {"pinged": quick.pinged.wait(10)}  # type: ignore[method-assign]
        facts, failures = fleet.connect()
    assert failures == {}
    assert facts["slow"]["pinged"], "its agent would have left after a lease"


def test_sessions_that_are_opened_one_by_one_are_pinged_too() -> None:
    with fleet_of("web1") as fleet:
        fleet.sessions["web1"].open()
        results, _ = fleet.each("", lambda session: session.pinged.wait(10))  # type: ignore[attr-defined]
    assert results["web1"], "`inv logs --follow` would end after a lease"


def test_a_host_that_takes_no_ping_keeps_none_from_the_others() -> None:
    with fleet_of("frozen", "quick") as fleet:
        thawed = threading.Event()
        fleet.sessions["frozen"].ping = thawed.wait  # type: ignore[method-assign,assignment]
        fleet.connect()
        quick: Any = fleet.sessions["quick"]
        pinged = quick.pinged.wait(10)
        thawed.set()
    assert pinged, "its lease would run out"
