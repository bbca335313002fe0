"""Events of several hosts as one list."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy import status
from handrail.deploy.events import merged_events, show_events
from handrail.deploy.status import show_releases
from handrail.errors import TaskFailedError
from handrail.testing.printer import RecordingPrinter

pytestmark = pytest.mark.unit


def event(what: str, finished: float, run: str, kind: str = "maintenance") -> dict[str, Any]:
    return {"event": kind, "what": what, "who": "ann", "run": run, "finished": finished, "serves": "1-a"}


def test_what_one_run_did_on_several_hosts_is_one_event_and_the_newest_comes_first() -> None:
    rows = [
        {"host": "a", "events": [event("on", 10.0, "r1"), event("off", 30.0, "r2")]},
        {"host": "b", "events": [event("on", 11.0, "r1")]},
    ]
    merged = merged_events(rows)
    assert [(e["what"], e["hosts"], e["finished"]) for e in merged] == [("off", ["a"], 30.0), ("on", ["a", "b"], 11.0)]


def test_the_same_change_twice_is_two_events_and_one_that_was_taken_back_shows_both_halves() -> None:
    rows = [{"host": "a", "events": [event("on", 1.0, "r1"), event("off", 2.0, "r1"), event("on", 3.0, "r2")]}]
    assert [e["what"] for e in merged_events(rows)] == ["on", "off", "on"]


def test_events_stand_below_the_releases_and_the_table_is_left_out_where_there_are_none() -> None:
    printer = RecordingPrinter()
    merged = merged_events([{"host": "a", "events": [event("worker=2", 1.0, "r1", "scale")]}])
    show_events(merged, 1, printer)
    assert "worker=2" in printer.text
    assert "all" in printer.text
    empty = RecordingPrinter()
    document = {"app": "shop", "environment": "test", "releases": [], "hosts": ["a"], "events": [], "errors": {}}
    show_releases(document, empty)
    assert "events" not in empty.text


def test_a_host_that_could_not_be_asked_for_releases_is_named_once() -> None:
    printer = RecordingPrinter()
    errors = {"a": "a: no answer", "b": "closed"}
    show_releases(
        {"app": "shop", "environment": "test", "releases": [], "hosts": [], "events": [], "errors": errors}, printer
    )
    assert [event.words for event in printer.events if event.kind == "warn"] == [("a: no answer",), ("b: closed",)]


def test_where_no_host_could_be_asked_there_are_no_releases_to_tell_of(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"host": "a", "error": "a: no answer", "next": "ssh -v a"}
    monkeypatch.setattr(status, "collect_status", lambda *_: {"environment": "test", "hosts": [row]})
    target: Any = SimpleNamespace(environment="test", app="shop")
    with pytest.raises(TaskFailedError, match="no host of test could be asked") as caught:
        status.collect_releases(target, Path())
    assert (caught.value.next_step, caught.value.host_states) == ("ssh -v a", {"a": "no answer"})


def test_a_good_release_older_than_what_a_host_tells_of_its_history_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = {"release": "300-c", "result": "good", "kind": "deploy"}
    row = {"host": "a", "history": [entry], "good": ["2-b", "300-c"], "release": "300-c", "error": "", "events": []}
    monkeypatch.setattr(status, "collect_status", lambda *_: {"hosts": [row], "events": []})
    target: Any = SimpleNamespace(environment="test", app="shop")
    releases = status.collect_releases(target, Path())["releases"]
    assert [(release["release"], release["on"]) for release in releases] == [("300-c", ["a"])]
