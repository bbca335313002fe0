"""Rows 13 and 14: the order of releases is the history's, whatever the clock says and whatever failed in between."""

from __future__ import annotations

import time

import pytest

from handrail.testing.faults import CATALOGUE, strike

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.parametrize("name", ["clock a year back", "clock a year ahead"])
def test_a_wrong_clock_changes_no_order(suffer, scene_for, name: str) -> None:
    assert suffer(name).word == "new"
    scene = scene_for(1)
    entries = scene.history(scene.hosts[0])[-2:]
    assert abs(entries[0]["finished"] - time.time()) > 300 * 86400, "the clock was right"
    wrong, after = [entry["release"] for entry in entries]
    assert scene.project.rollback()["release"] == wrong
    assert scene.ask(scene.hosts[0]).release == wrong
    assert int(after.split("-")[0]) == int(wrong.split("-")[0]) + 1
    assert scene.deploy_good() == []


def test_failed_releases_push_no_good_one_out_and_no_rollback_lands_on_them(scene_for) -> None:
    scene = scene_for(1)
    scene.project.configure(test={"keep": 1})
    assert scene.deploy_good() == []
    good = scene.ask(scene.hosts[0]).release
    assert scene.deploy_good() == []
    fault = CATALOGUE["one host unhealthy"]
    for _ in range(2):
        assert scene.project.status()["state"] == "ok"
        outcome = strike(scene, fault, go_on=False)
        assert (outcome.broken, outcome.word) == ([], "old")
    assert scene.project.rollback()["release"] == good
    scene.project.configure(test={"keep": 5})
    assert scene.deploy_good() == []
