"""How a roll-out is told before it begins and after it ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handrail.config.schema import Canary
from handrail.deploy.report import github_summary, report_lines
from handrail.deploy.rollout import rollout, sentences

pytestmark = pytest.mark.unit

HOSTS = ["a", "b", "c", "d"]
SIDE = {"requests": 310, "errors": 13, "error_rate": 0.042, "percentile": 95.0, "latency": 0.12}
LOOK = {"step": "25%", "seconds": 31.0, "canary": SIDE, "rest": SIDE, "verdict": "return", "why": "error rate 4.2 %"}


def target(strategy: str, **changes: Any) -> Any:
    facts: dict[str, Any] = {
        "strategy": strategy,
        "batches": [1, "50%"],
        "batch_wait": 60.0,
        "max_failed": 1,
        "canary": Canary(steps=["5%", 2], bake=120.0, bake_max=600.0),
        "watch": 2.0,
        "drain": 30.0,
    }
    return SimpleNamespace(**{**facts, **changes})


def test_a_canary_is_told_step_by_step_with_its_share_hosts_times_and_thresholds() -> None:
    facts = rollout(target("canary"), HOSTS, HOSTS)
    assert [(step["share"], step["hosts"], step["bake"]) for step in facts["steps"]] == [
        (5, HOSTS, 120.0),
        (100, ["a", "b"], 120.0),
    ]
    assert (facts["seconds"], facts["at_most"]) == (242.0, 1202.0)
    assert facts["thresholds"]["max_error_rate"] == 0.05
    lines = sentences(facts)
    assert lines[0] == "canary: 4 min, up to 20 min with few requests"
    assert lines[1] == "1. 5 % of the traffic (every host) for 120 s, 600 s at most"
    assert lines[2] == "2. 2 hosts (a, b) for 120 s, 600 s at most"
    assert lines[3].startswith("3. then all traffic on all hosts at once, watched for 2 s")
    assert "errors above 5 %, or 1 points above the rest's" in lines[4]


@pytest.mark.parametrize(("serving", "kind"), [([], "deploy"), (HOSTS, "rollback")])
def test_a_first_deploy_and_a_rollback_bake_nothing(serving: list[str], kind: str) -> None:
    facts = rollout(target("canary"), HOSTS, serving, kind)
    assert (facts["steps"], facts["seconds"]) == ([], 2.0)
    assert sentences(facts)[0].startswith("canary: nothing to compare with")


def test_behind_the_maintenance_page_nothing_is_baked() -> None:
    facts = rollout(target("canary"), HOSTS, HOSTS, covered=HOSTS)
    assert (facts["steps"], facts["at_most"]) == ([], 2.0)
    assert sentences(facts)[0].startswith("canary: visitors get the maintenance page, so none is baked; then all")
    facts = rollout(target("canary"), HOSTS, HOSTS, covered=["a"])
    assert [step["hosts"] for step in facts["steps"]] == [["b", "c", "d"], ["b", "c"]]
    assert "none on a, where visitors get the maintenance page" in sentences(facts)


def test_a_step_that_would_leave_no_host_to_compare_with_is_not_promised() -> None:
    facts = rollout(target("canary"), HOSTS, ["a", "b"])
    assert [step["step"] for step in facts["steps"]] == ["5%"]


def test_batches_and_waits_are_told_and_a_rollback_does_not_wait() -> None:
    facts = rollout(target("rolling"), HOSTS, HOSTS)
    assert facts["batches"] == [["a"], ["b", "c"], ["d"]]
    assert sentences(facts)[0] == "rolling: 3 batches, 60 s between two (2 min of waiting); 1 may fail and be left out"
    assert sentences(facts)[2] == "2. 2 hosts: b, c"
    assert rollout(target("rolling"), HOSTS, HOSTS, "rollback")["seconds"] == 0


def test_what_is_to_be_held_shows_no_switch() -> None:
    facts = rollout(target("blue-green"), HOSTS, HOSTS, hold=True)
    assert sentences(facts) == ["blue-green: the new release is proved beside the old one, and held without traffic"]
    assert facts["seconds"] == 0
    assert "then all traffic on all hosts at once" in sentences(rollout(target("blue-green"), HOSTS, HOSTS))[0]


def test_a_large_fleet_one_by_one_is_told_in_a_few_lines() -> None:
    facts = rollout(target("rolling", batches=[1]), [f"web{n}" for n in range(100)], [])
    assert len(sentences(facts)) == 12
    assert sentences(facts)[-1] == "and 90 more, the last of 1"


def test_the_summary_and_the_report_hold_the_canarys_numbers() -> None:
    facts = rollout(target("canary"), HOSTS, HOSTS)
    document = {"command": "deploy", "result": "failed", "rollout": facts, "canary": [LOOK], "hosts": []}
    summary = github_summary(document)
    assert "\n  1. 5 % of the traffic (every host)" in summary
    assert "| 25 % of the traffic | 31 | canary | 310 | 4.2 % | p95 120 ms | return: error rate 4.2 % |" in summary
    assert report_lines(document)[0] == "25 % of the traffic, 31 s"
    assert "310 requests" in report_lines(document)[1]
