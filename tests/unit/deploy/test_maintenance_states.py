"""What a maintenance page may be, and that all hosts of a fleet change or none does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy import maintenance
from handrail.deploy.maintenance import MAX_BYTES, maintenance_state, read_page, set_maintenance
from handrail.deploy.session import HostError
from handrail.errors import (
    ConfigError,
    DeployReturnedError,
    NeedsPersonError,
    PreflightError,
    UnreachableError,
    UsageError,
)
from handrail.testing import RecordingPrinter

pytestmark = pytest.mark.unit


class FakeSession:
    """A host that serves ``page``, and fails where its name is in ``faults``, by operation."""

    def __init__(self, host: str, _target: Any, _root: Path, *, faults: set[str]) -> None:
        self.host = host
        self.page = "old page" if host == "b" else ""
        self.facts: dict[str, Any] = {"current": "" if f"{host} bare" in faults else "1-a"}
        self.faults = faults
        self.is_open = True
        self.asked: list[str] = []

    def reopen(self) -> None:
        self.is_open = True

    def open(self) -> dict[str, Any]:
        if f"{self.host} away" in self.faults:
            raise UnreachableError(f"{self.host}: cannot connect")
        if f"{self.host} stranger" in self.faults:
            raise PreflightError(f"{self.host}: another host key")
        return self.facts

    def call(self, op: str, **request: Any) -> dict[str, Any]:
        self.asked.append(op)
        if op == "status":
            if f"{self.host} status" in self.faults:
                raise HostError(self.host, "lost", "no answer")
            return {"maintenance": 1000.0 if self.page else None}
        if op == "lock":
            return {"left": "", "recovered": "returned from 2-b, which was never committed, to 1-a"}
        before, page = self.page, request["page"]
        kind = "look" if page is None else "back" if page in ("", "old page") else "change"
        if f"{self.host} {kind}" in self.faults:
            raise HostError(self.host, "proxy", f"no {kind}")
        self.page = before if page is None else page
        if f"{self.host} cut" in self.faults and kind == "change":
            self.is_open = False
            raise HostError(self.host, "lost", "the connection was lost: closed")
        return {"before": before}

    def revive(self) -> None: ...

    def ping(self) -> None: ...

    def close(self, *, at_once: bool = False) -> None:
        self.is_open = False


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Any:
    made: list[FakeSession] = []
    faults: set[str] = set()

    class Fleet(maintenance.Fleet):
        def __init__(self, target: Any, root: Path) -> None:
            def session(host: str, target: Any, root: Path) -> Any:
                made.append(FakeSession(host, target, root, faults=faults))
                return made[-1]

            super().__init__(target, root, session=session)

    monkeypatch.setattr(maintenance, "Fleet", Fleet)
    monkeypatch.setattr(maintenance, "service_for", lambda *_: {})
    printer = RecordingPrinter()
    target = SimpleNamespace(
        environment="test", app="shop", hosts=["a", "b"], service=1, proxy=1, connections=4, lease=60.0
    )
    return SimpleNamespace(
        pages=lambda: {session.host: session.page for session in made},
        faults=faults,
        asked=lambda: {session.host: session.asked for session in made},
        target=target,
        printer=printer,
        turn=lambda page: set_maintenance(target, Path(), page, printer),
    )


def test_every_host_gets_the_page_and_the_document_says_where_it_is_new(fleet: Any) -> None:
    document = fleet.turn("old page")
    assert fleet.pages() == {"a": "old page", "b": "old page"}
    assert document["hosts"] == [
        {"host": "a", "changed": True, "error": ""},
        {"host": "b", "changed": False, "error": ""},
    ]


def test_what_taking_the_lock_has_finished_is_told(fleet: Any) -> None:
    fleet.turn("page")
    assert "a: returned from 2-b, which was never committed, to 1-a" in fleet.printer.text


@pytest.mark.parametrize(("away", "state"), [([], "mixed"), (["a"], "on"), (["b"], "off"), (["a", "b"], "unknown")])
def test_how_it_is_is_told_by_the_hosts_that_answer_and_asking_changes_nothing(
    fleet: Any, away: list[str], state: str
) -> None:
    fleet.faults.update(f"{host} status" for host in away)
    document = maintenance_state(fleet.target, Path())
    assert document["maintenance"] == state
    assert [row["host"] for row in document["hosts"] if row["error"]] == away
    assert fleet.pages() == {"a": "", "b": "old page"}


def test_the_page_ends_without_a_host_that_is_away_and_one_that_serves_nothing_yet(fleet: Any) -> None:
    fleet.faults.add("a away")
    document = fleet.turn("")
    assert fleet.pages() == {"a": "", "b": ""}
    assert document["hosts"] == [
        {"host": "a", "changed": False, "error": "cannot connect"},
        {"host": "b", "changed": True, "error": ""},
    ]
    assert "a: cannot connect; what it serves stays" in fleet.printer.text
    fleet.faults.clear()
    fleet.faults.update(["a bare", "a look"])
    assert [row["host"] for row in fleet.turn("")["hosts"]] == ["b"]


@pytest.mark.parametrize(
    ("page", "faults"), [("page", ["a away"]), ("", ["a stranger"]), ("", ["a away", "b away"]), ("page", ["a bare"])]
)
def test_a_page_for_all_hosts_or_none_and_no_host_with_another_key(fleet: Any, page: str, faults: list[str]) -> None:
    fleet.faults.update([*faults, "a look"])
    with pytest.raises(PreflightError):
        fleet.turn(page)
    assert fleet.pages() == {"a": "", "b": "old page"}


def test_a_host_that_could_not_do_it_stops_it_before_any_host_changes(fleet: Any) -> None:
    fleet.faults.add("b look")
    with pytest.raises(PreflightError, match="b: no look"):
        fleet.turn("new page")
    assert fleet.pages() == {"a": "", "b": "old page"}


@pytest.mark.parametrize("host", ["a", "b"])
def test_a_host_that_fails_brings_every_host_back_to_the_page_that_it_had(fleet: Any, host: str) -> None:
    fleet.faults.add(f"{host} change")
    with pytest.raises(DeployReturnedError, match=f"{host}: no change"):
        fleet.turn("new page")
    assert fleet.pages() == {"a": "", "b": "old page"}


def test_a_host_whose_connection_was_cut_after_the_change_is_asked_again_under_the_lock(fleet: Any) -> None:
    fleet.faults.add("a cut")
    with pytest.raises(DeployReturnedError, match="a: the connection was lost"):
        fleet.turn("new page")
    assert fleet.pages() == {"a": "", "b": "old page"}
    assert fleet.asked()["a"][-2:] == ["lock", "maintenance"]


def test_a_host_that_cannot_be_brought_back_is_named_with_the_command_for_it(fleet: Any) -> None:
    fleet.faults.update(("b change", "a back"))
    with pytest.raises(NeedsPersonError) as caught:
        fleet.turn("new page")
    assert caught.value.host_states == {"a": "unknown", "b": "serves what it served before"}
    assert "inv maintenance off --env test" in caught.value.next_step


def test_an_environment_without_a_proxy_says_which_table_is_missing(fleet: Any) -> None:
    fleet.target.proxy = None
    with pytest.raises(ConfigError) as caught:
        fleet.turn("page")
    assert "[tool.handrail.environments.test.proxy]" in caught.value.next_step


@pytest.mark.parametrize("data", [b"", b" \n", b"\xff\xfe", b"x" * (MAX_BYTES + 1)])
def test_a_file_that_is_no_page_is_refused_before_a_host_is_asked(tmp_path: Path, data: bytes) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(data)
    with pytest.raises(UsageError, match="expected"):
        read_page(page)


def test_a_page_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.html: no such file"):
        read_page(tmp_path / "nowhere.html")
