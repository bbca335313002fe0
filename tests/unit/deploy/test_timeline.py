"""A deploy's timeline, from lines of history as hosts keep them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy import status
from handrail.deploy.timeline import (
    chart_of,
    collect_timeline,
    make_timeline,
    save_svg,
    sentences,
    show_timeline,
    skew_ms,
)
from handrail.errors import TaskFailedError, UsageError
from handrail.testing.printer import RecordingPrinter

pytestmark = pytest.mark.unit


def line(deploy: str, release: str = "7-abc", finished: float = 100.0, **changes: Any) -> dict[str, Any]:
    return {
        "deploy": deploy,
        "release": release,
        "kind": "deploy",
        "result": "good",
        "who": "ada@laptop",
        "started": 90.0,
        "finished": finished,
        "seconds": {"connect": 0.5, "prepare": 1.0, "activate": 0.4, "commit": 0.1},
        "starts": {"connect": 0.0, "prepare": 0.6, "activate": 2.0, "commit": 2.5},
        "switched": 2.2,
        **changes,
    }


SLOW = line(
    "d1",
    seconds={"connect": 0.5, "prepare": 1.3, "activate": 0.4, "commit": 0.1},
    switched=2.237,
)


def document(histories: Mapping[str, list[dict[str, Any]]], wanted: str = "7-abc") -> dict[str, Any]:
    made = make_timeline(histories, wanted)
    return {"command": "timeline", "environment": "staging", "app": "shop", **made, "errors": {}}


def test_the_slowest_host_and_phase_and_the_skew_are_named() -> None:
    told = document({"web1": [line("d1")], "web2": [SLOW], "web3": [line("d1")]})
    assert told["slowest"] == {"host": "web2", "busy": 2.3, "median": 2.0, "phase": "prepare", "phase_seconds": 1.3}
    assert told["switch"] == {"skew_ms": 37.0, "first": "web1", "last": "web2"}
    assert told["seconds"] == 2.6
    assert sentences(told) == [
        "slowest host: web2, 2.30 s of work (median 2.00 s), of it prepare 1.30 s",
        "slowest phase: prepare, 1.30 s on web2 (median 1.00 s)",
        "switch: 37 ms from web1 (first) to web2 (last)",
    ]


def test_one_host_has_no_skew() -> None:
    told = document({"web1": [line("d1")]})
    assert told["switch"]["skew_ms"] is None
    assert sentences(told)[-1] == "switch: after 2.20 s"
    assert skew_ms([]) is None


@pytest.mark.parametrize("wanted", ["7-abc", "7", "d1"])
def test_a_run_is_found_by_release_by_number_and_by_its_own_id(wanted: str) -> None:
    assert document({"web1": [line("d0", "6-aaa"), line("d1")]}, wanted)["run"] == "d1"


def test_a_release_that_came_twice_shows_the_newest_run_and_names_the_other() -> None:
    told = document({"web1": [line("d1"), line("d2", "8-bbb"), line("d3", finished=300.0, kind="rollback")]})
    assert (told["run"], told["kind"], told["other_runs"]) == ("d3", "rollback", ["d1"])


def test_an_unknown_release_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no host remembers a release '7-abd'; did you mean '7-abc'\?"):
        document({"web1": [line("d1")]}, "7-abd")


def test_without_any_history_it_says_so() -> None:
    with pytest.raises(UsageError, match="there is none yet"):
        document({"web1": []})


@pytest.mark.parametrize(
    ("histories", "said"),
    [
        ({"web1": None, "web2": None}, "no host of staging could be asked"),
        ({"web1": [], "web2": None}, "no host remembers a release '7'; web2 could not be asked"),
        ({"web1": [line("d0", "6-aaa")], "web2": None}, "'7'; known: 6-aaa; web2 could not be asked"),
    ],
)
def test_a_release_that_only_a_host_knows_which_is_away_is_nobodys_mistake(
    monkeypatch: pytest.MonkeyPatch, histories: dict[str, list[dict[str, Any]] | None], said: str
) -> None:
    rows = [
        {"host": host, "history": past or [], "error": "" if past is not None else f"{host}: no answer", "next": ""}
        for host, past in histories.items()
    ]
    monkeypatch.setattr(status, "collect_status", lambda *_: {"environment": "staging", "hosts": rows})
    target: Any = SimpleNamespace(environment="staging", app="shop")
    with pytest.raises(TaskFailedError, match=said) as caught:
        collect_timeline(target, Path(), "7")
    assert caught.value.host_states == {host: "no answer" for host, past in histories.items() if past is None}


def test_a_line_of_an_old_version_shows_its_phases_one_after_the_other_and_says_so() -> None:
    old = line("d1")
    del old["starts"], old["switched"]
    told = document({"web1": [old]})
    assert [(phase["phase"], phase["start"]) for phase in told["hosts"][0]["phases"]] == [
        ("connect", 0.0),
        ("prepare", 0.5),
        ("activate", 1.5),
        ("commit", 1.9),
    ]
    printer = RecordingPrinter()
    show_timeline(told, printer)
    assert "phases are shown one after the other" in printer.text


def test_a_canarys_bake_lies_between_the_proof_and_the_switch() -> None:
    seconds = {"verify": 1.0, "switch": 0.5, "commit": 0.1, "bake": 60.0}
    starts = {"verify": 1.0, "switch": 62.5, "commit": 63.1, "bake": 2.2}
    told = document({"web1": [line("d1", seconds=seconds, starts=starts)]})
    assert [phase["phase"] for phase in told["phases"]] == ["verify", "bake", "switch", "commit"]
    assert told["seconds"] == 63.2
    # Lines of versions that did not keep when it began.
    del starts["bake"]
    told = document({"web1": [line("d1", seconds=seconds, starts=starts)]})
    assert [phase["start"] for phase in told["hosts"][0]["phases"]] == [1.0, 2.0, 62.5, 63.1]
    assert told["seconds"] == 63.2


def test_a_returned_deploy_shows_which_phase_failed_where_and_the_return() -> None:
    seconds = {"connect": 0.5, "activate": 0.4, "verify": 1.0, "return": 0.3}
    starts = {"connect": 0.0, "activate": 0.6, "verify": 1.0, "return": 2.1}
    returned = line("d1", result="returned", seconds=seconds, starts=starts, reason="web2: GET / answered 500")
    told = document({"web1": [returned], "web2": [{**returned, "failed": "verify"}], "web3": []})
    assert told["result"] == "returned"
    assert [host["result"] for host in told["hosts"]] == ["returned", "returned", "no record"]
    assert [host["committed"] for host in told["hosts"]] == [None, None, None]
    chart = chart_of(told)
    failed = [(lane.name, span.phase) for lane in chart.lanes for span in lane.spans if span.is_failed]
    assert failed == [("web2", "verify")]
    printer = RecordingPrinter()
    show_timeline(told, printer)
    assert "web2 returned: web2: GET / answered 500" in printer.text
    assert "no record" in printer.text


def test_a_deploy_whose_client_died_has_no_times_and_says_why() -> None:
    dead = line("d1", result="returned", seconds={}, starts={}, switched=None, reason="the lease of 60 s ran out")
    printer = RecordingPrinter()
    show_timeline(document({"web1": [dead]}), printer)
    assert "no host kept times of it" in printer.text


def test_a_large_fleet_shows_the_hosts_that_took_longest_and_counts_the_others() -> None:
    histories = {f"web{number:02}": [line("d1")] for number in range(60)}
    histories["web41"] = [SLOW]
    chart = chart_of(document(histories), 20)
    assert len(chart.lanes) == 20
    assert "web41" in [lane.name for lane in chart.lanes]
    assert chart.left_out == 40
    assert len(chart_of(document(histories)).lanes) == 60, "the picture has all"


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or directory"):
        save_svg(document({"web1": [line("d1")]}), tmp_path / "none" / "x.svg")
