"""The fleet's lock, without hosts: locks are entries of a table, and a call takes as long as the test says."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy import fleet as fleet_module
from handrail.deploy.fleet import Fleet
from handrail.deploy.session import HostError
from handrail.errors import HandrailError, LockedError

pytestmark = pytest.mark.unit


class Locks:
    """The hosts' locks: who holds which."""

    def __init__(self) -> None:
        self.holders: dict[str, str] = {}
        self.guard = threading.Lock()
        self.log: list[tuple[str, str, str]] = []

    def take(self, host: str, who: str, wait: float | None) -> bool:
        deadline = time.monotonic() + (-1 if wait is None else wait)
        while True:
            with self.guard:
                if host not in self.holders:
                    self.holders[host] = who
                    self.log.append((who, "took", host))
                    return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)


class FakeSession:
    def __init__(self, host: str, who: str, locks: Locks, delay: Callable[[], float]) -> None:
        self.host, self.who, self.locks, self.delay = host, who, locks, delay

    def call(self, op: str, holder: Any = None, wait: float | None = 0) -> dict[str, Any]:
        time.sleep(self.delay())
        if op == "unlock":
            with self.locks.guard:
                assert self.locks.holders.pop(self.host) == self.who
            return {}
        if not self.locks.take(self.host, self.who, wait):
            raise HostError(self.host, "locked", "held", holder={"who": self.locks.holders.get(self.host, "?")})
        return {"recovered": "", "left": "", "transaction": None, "number": 0}

    def cancel(self) -> None: ...

    def close(self, *, at_once: bool = False) -> None: ...


def fleet_of(who: str, hosts: list[str], locks: Locks, delay: Callable[[], float] = lambda: 0.0) -> Fleet:
    target: Any = SimpleNamespace(environment="test", hosts=hosts, connections=4, lease=60.0)
    fleet = Fleet(target, Path(), hosts)
    fleet.sessions = {host: FakeSession(host, who, locks, delay) for host in hosts}  # type: ignore[misc]
    return fleet


def test_locks_that_nobody_else_wants_are_taken_all_at_once() -> None:
    locks, hosts = Locks(), [f"h{number}" for number in range(20)]
    with fleet_of("a", hosts, locks, lambda: 0.05) as fleet:
        started = time.monotonic()
        assert list(fleet.lock({"who": "a"}, 0)) == hosts
        assert time.monotonic() - started < 0.5, "twenty in a row would take a second"
    assert set(locks.holders) == set(hosts)


def test_who_meets_a_held_lock_gives_back_the_others() -> None:
    locks = Locks()
    locks.holders["h2"] = "b"
    with fleet_of("a", ["h1", "h2", "h3"], locks) as fleet, pytest.raises(LockedError, match="locked by b"):
        fleet.lock({"who": "a"}, 0)
    assert locks.holders == {"h2": "b"}


@pytest.mark.parametrize(("kind", "exit_code"), [("return-failed", 6), ("os", 3), ("lost", 3)])
@pytest.mark.parametrize("hosts", [["h2"], ["h1", "h2", "h3"]])
def test_a_host_that_does_not_give_its_lock_is_named_and_the_others_are_given_back(
    kind: str, exit_code: int, hosts: list[str]
) -> None:
    locks = Locks()
    with fleet_of("a", hosts, locks) as fleet:

        def fail(*_: Any, **__: Any) -> None:
            raise HostError("h2", kind, "could not")

        fleet.sessions["h2"].call = fail  # type: ignore[assignment, method-assign]
        with pytest.raises(HandrailError, match="h2: could not") as refused:
            fleet.lock({"who": "a"}, 0)
    assert refused.value.exit_code == exit_code
    assert locks.holders == {}


@pytest.mark.parametrize("seed", range(5))
def test_of_deploys_at_once_to_overlapping_hosts_exactly_one_wins(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "TRY_SECONDS", 0.2)
    source = random.Random(seed)
    locks = Locks()
    chosen = {"a": ["h1", "h2", "h3", "h4"], "b": ["h2", "h3", "h4"], "c": ["h1", "h3", "h4", "h5"]}
    start = threading.Barrier(len(chosen))

    def deploy(who: str) -> bool:
        slow = source.choice((0.001, 0.01, 0.03))
        with fleet_of(who, chosen[who], locks, lambda: random.uniform(0, slow)) as fleet:
            start.wait()
            try:
                fleet.lock({"who": who}, 0)
            except LockedError:
                return False
            return True

    with ThreadPoolExecutor() as pool:
        won = dict(zip(chosen, pool.map(deploy, chosen), strict=True))
    winners = [who for who in chosen if won[who]]
    assert len(winners) == 1, (won, locks.log)
    assert locks.holders == dict.fromkeys(chosen[winners[0]], winners[0])
