"""A promotion from its start to its end, on hosts that are told what to answer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy import running
from handrail.deploy.promote import promote
from handrail.deploy.running import Job
from handrail.errors import DeployReturnedError, TaskFailedError
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

    def __init__(self, host: str, *_: Any, **__: Any) -> None:
        self.host = host
        self.last = ""

    def open(self) -> dict[str, Any]:
        return {
            "current": "1-a", "good": ["1-a"], "history": [], "scale": {}, "number": 2,
            "transaction": MIGRATED if self.host == "a" else HELD,
        }  # fmt: skip

    def call(self, op: str, **request: Any) -> dict[str, Any]:
        if op == "lock":
            state = self.open()
            return {**state, "taken": True, "recovered": "", "left": "", "newest": None}
        return {"serves": "1-a", "ok": True, "why": "", "switched_ago": 0.0, "moves": True}

    def post(self, op: str, **request: Any) -> int:
        return 1

    def wait(self, _number: int) -> dict[str, Any]:
        return {"switched_ago": None, "moves": True}

    def ping(self) -> None: ...

    def revive(self) -> None: ...

    def cancel(self) -> None: ...

    def close(self, *, at_once: bool = False) -> None: ...


@pytest.fixture(autouse=True)
def _hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "Session", FakeSession)
    monkeypatch.setattr(running, "service_for", lambda *_: None)


def job(**facts: Any) -> Job:
    return Job(TARGET, Path(), RecordingPrinter(), list(TARGET.hosts), **facts)


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


def test_a_release_that_is_held_warns_of_what_it_did_that_cannot_be_undone() -> None:
    printer = RecordingPrinter()
    told = {"environment": "test", "release": "2-b", "previous": "1-a", "seconds": 1.0, "irreversible": ["0002_drop"]}
    c: Any = SimpleNamespace(printer=printer)
    _finish(c, lambda: {**told, "result": "held", "left_out": {}})
    assert "0002_drop ran and cannot be undone" in printer.text
