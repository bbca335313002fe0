"""``--abort`` ends with the code that says what is known of the hosts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy import aborting
from handrail.deploy.fleet import Fleet
from handrail.deploy.running import Job
from handrail.deploy.session import HostError
from handrail.errors import HandrailError, LockedError, NeedsPersonError, PreflightError, UnreachableError

pytestmark = pytest.mark.unit

TARGET: Any = SimpleNamespace(environment="test", app="shop", hosts=["a"], connections=4, lease=60.0)


class FakeSession:
    """A host with an unfinished release; the operation ``fails`` with an error of a kind."""

    is_open = True
    serves = "1-a"

    def __init__(
        self, host: str, step: str = "prepared", fails: str = "", kind: str = "", *, held: bool = False
    ) -> None:
        self.host, self.step, self.fails, self.kind, self.held = host, step, fails, kind, held
        self.called: list[str] = []

    def open(self) -> dict[str, Any]:
        if self.fails == "open":
            raise UnreachableError(f"{self.host}: no answer")
        state = {"deploy": "d1", "release": "2-b", "step": self.step}
        return {"transaction": state, "current": "1-a", "lock": {"held": self.held}}

    def call(self, op: str, **_: Any) -> dict[str, Any]:
        self.called.append(op)
        if op == self.fails:
            raise HostError(self.host, self.kind, "the connection was lost: closed")
        return {"serves": self.serves, "ok": True, "why": "", "left": "", "recovered": ""}

    def ping(self) -> None: ...

    def close(self, *, at_once: bool = False) -> None: ...


def abort(monkeypatch: pytest.MonkeyPatch, *sessions: FakeSession, skip_unreachable: bool = False) -> dict[str, str]:
    by_host = {session.host: session for session in sessions}
    made: Any = lambda host, *_: by_host[host]  # noqa: E731
    monkeypatch.setattr(aborting, "Fleet", lambda *_: Fleet(TARGET, Path(), list(by_host), session=made))
    printer: Any = None
    return aborting.abort(Job(TARGET, Path(), printer, list(by_host), skip_unreachable=skip_unreachable))


@pytest.mark.parametrize(
    ("fails", "kind", "exit_code"),
    [("return", "lost", 6), ("lock", "lost", 3), ("lock", "return-failed", 6), ("lock", "locked", 7)],
)
def test_what_stops_an_abort_has_the_exit_code_of_what_is_known(
    monkeypatch: pytest.MonkeyPatch, fails: str, kind: str, exit_code: int
) -> None:
    with pytest.raises(HandrailError, match="a: ") as caught:
        abort(monkeypatch, FakeSession("a", fails=fails, kind=kind))
    assert caught.value.exit_code == exit_code


@pytest.mark.parametrize(("step", "fails"), [("prepared", "lock"), ("activated", "expect_dead")])
def test_nothing_is_ended_on_any_host_where_a_deploy_lives_on_another(
    monkeypatch: pytest.MonkeyPatch, step: str, fails: str
) -> None:
    dead = [FakeSession("a"), FakeSession("b", "activated", held=True), FakeSession("d", "activated")]
    with pytest.raises(LockedError):
        abort(monkeypatch, *dead, FakeSession("c", step, fails, "locked", held=True))
    assert [session.called for session in dead] == [["lock"], ["expect_dead"][: fails == "expect_dead"], []]


def test_all_others_are_ended_where_one_host_cannot_return(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NeedsPersonError, match="a: ") as caught:
        abort(monkeypatch, FakeSession("a", fails="return", kind="lost"), FakeSession("b"))
    assert caught.value.host_states == {"a": "unknown", "b": "aborted 2-b; serves 1-a"}


@pytest.mark.parametrize(("kind", "state"), [("return-failed", "closed"), ("locked", "locked by"), ("lost", "unknown")])
def test_an_activated_host_that_nobody_guards_keeps_no_other_from_its_end(
    monkeypatch: pytest.MonkeyPatch, kind: str, state: str
) -> None:
    hosts = FakeSession("a", "activated"), FakeSession("b", "activated", "lock", kind), FakeSession("c", "activated")
    with pytest.raises(NeedsPersonError, match=r"^b: (?!b: )") as caught:
        abort(monkeypatch, *hosts, FakeSession("d"))
    assert [host.called for host in hosts] == [["lock", "return"], ["lock"], ["lock", "return"]]
    states = caught.value.host_states
    assert state in states.pop("b")
    assert states == dict.fromkeys("acd", "aborted 2-b; serves 1-a")


def test_a_host_that_is_somebodys_meanwhile_is_left_to_him_and_nothing_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosts = FakeSession("a", "activated", "lock", "locked"), FakeSession("b", "activated"), FakeSession("c")
    with pytest.raises(LockedError):
        abort(monkeypatch, *hosts)
    assert [host.called for host in hosts] == [["lock"], [], ["lock"]]


def test_an_abort_goes_on_without_a_host_that_is_away_where_it_was_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = FakeSession("a", fails="open"), FakeSession("b")
    with pytest.raises(PreflightError):
        abort(monkeypatch, *hosts)
    assert hosts[1].called == []
    states = abort(monkeypatch, *hosts, skip_unreachable=True)
    assert states == {"a": "left out: no answer", "b": "aborted 2-b; serves 1-a"}


def test_what_had_been_committed_is_not_called_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession("a", "activated")
    session.serves = "2-b"
    assert abort(monkeypatch, session) == {"a": "2-b was committed, and stays"}
