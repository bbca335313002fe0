"""Who has the host's lock: an agent or a guardian lives, a migration whose agent was killed decides nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.agent import deciding, locking
from handrail.agent.app import App
from handrail.agent.refusal import Refused
from handrail.agent.transaction import Transaction

pytestmark = pytest.mark.unit


@pytest.fixture
def agent(tmp_path: Path) -> Any:
    app = App(str(tmp_path), "shop")
    app.make_folders()
    Path(app.path("lock")).touch()
    return SimpleNamespace(app=app, lock_fd=None, guardian=None, joined="", gone=threading.Event())


@pytest.fixture
def orphan(agent: Any) -> Iterator[Transaction]:
    """A rollback whose agent and guardian were killed; its ``migrate_down`` goes on."""
    journal = Transaction(agent.app)
    journal.begin({"deploy": "d1", "release": "1-abc", "from": "2-def", "step": "lowering"})
    with Path(agent.app.path("migrating")).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield journal


def test_a_migration_that_goes_on_keeps_others_from_the_host(agent: Any, orphan: Transaction) -> None:
    with pytest.raises(Refused) as refused:
        locking.take(agent, None)
    assert (refused.value.facts["migrating"], refused.value.facts["transaction"]["step"]) == (True, "lowering")
    assert locking.lock_state(agent)["held"]
    assert orphan.decision() == ""


@pytest.mark.usefixtures("orphan")
def test_a_migration_that_goes_on_is_no_guardian_to_join(agent: Any) -> None:
    locking.rejoin(agent, {"deploy": "d1"}, b"")
    assert (agent.joined, agent.lock_fd) == ("", None)


def test_a_migration_that_goes_on_is_no_guardian_to_wait_for(
    agent: Any, orphan: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = {"ok": True, "serves": "2-def", "why": ""}

    def wait(_: float) -> None:
        raise AssertionError("it waits for a guardian that is dead")

    monkeypatch.setattr(deciding, "time", SimpleNamespace(sleep=wait, monotonic=time.monotonic))
    monkeypatch.setattr(orphan, "perform_return", lambda _reason: outcome)
    assert deciding.await_outcome(agent, orphan, "d1") == outcome


def test_a_lock_that_the_system_refuses_is_not_waited_for(agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def refuse(fd: int, _operation: int) -> None:
        opened.append(fd)
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="No locks available"):
        locking.take(agent, 60)
    (fd,) = opened
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
