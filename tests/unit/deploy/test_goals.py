"""The engine's decisions that need no host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy.goals import choose_release, resume_line, rollback_goal
from handrail.deploy.release import release_number
from handrail.deploy.run import choose_hosts
from handrail.deploy.running import Run
from handrail.errors import PreflightError, UsageError

pytestmark = pytest.mark.unit


def host(current: str, *history: tuple[str, str, str, str | None], good: list[str] | None = None) -> dict[str, Any]:
    entries = [{"kind": kind, "release": r, "result": result, "from": origin} for kind, r, result, origin in history]
    names = [r for _, r, result, _ in history if result == "good"]
    return {"current": current, "history": entries, "good": good if good is not None else names}


THREE = [
    ("deploy", "1-a", "good", None),
    ("deploy", "2-b", "good", "1-a"),
    ("deploy", "3-c", "good", "2-b"),
]


def test_a_rollback_goes_to_the_release_that_served_before() -> None:
    assert rollback_goal({"h": host("3-c", *THREE)}, "") == "2-b"


def test_a_second_rollback_goes_further_back_and_not_forward_again() -> None:
    facts = {"h": host("2-b", *THREE, ("rollback", "2-b", "good", "3-c"))}
    assert rollback_goal(facts, "") == "1-a"


def test_a_rollback_after_a_deploy_after_a_rollback_skips_what_was_rolled_back_from() -> None:
    facts = {"h": host("4-d", *THREE, ("rollback", "2-b", "good", "3-c"), ("deploy", "4-d", "good", "2-b"))}
    assert rollback_goal(facts, "") == "2-b"


def test_a_rollback_picks_only_what_was_good_on_all_hosts() -> None:
    facts = {"a": host("3-c", *THREE), "b": host("3-c", *THREE, good=["1-a", "3-c"])}
    assert rollback_goal(facts, "") == "1-a"


def test_failed_and_returned_releases_are_no_goals() -> None:
    facts = {"h": host("1-a", THREE[0], ("deploy", "2-b", "returned", "1-a"))}
    with pytest.raises(PreflightError, match="no earlier release"):
        rollback_goal(facts, "")


def test_a_named_goal_may_be_the_bare_number() -> None:
    assert rollback_goal({"h": host("3-c", *THREE)}, "1") == "1-a"


def test_an_unknown_goal_lists_the_good_ones() -> None:
    with pytest.raises(PreflightError, match=r"those that are: 1-a, 2-b, 3-c"):
        rollback_goal({"h": host("3-c", *THREE)}, "9-z")


def test_the_running_release_is_no_goal() -> None:
    with pytest.raises(PreflightError, match="is the one that is running"):
        rollback_goal({"h": host("3-c", *THREE)}, "3-c")


def test_releases_are_ordered_by_number_and_not_as_text() -> None:
    assert sorted(["10-a", "9-b"], key=release_number) == ["9-b", "10-a"]


@pytest.mark.parametrize("chosen", ["deploy@b.example:2222", "b.example:2222", "b.example", " b.example ,"])
def test_a_host_is_chosen_by_its_entry_or_its_name(chosen: str) -> None:
    if chosen.endswith(","):
        chosen = chosen.rstrip(",")
    assert choose_hosts(["deploy@a.example", "deploy@b.example:2222"], chosen) == ["deploy@b.example:2222"]


def test_chosen_hosts_keep_the_order_of_the_environment() -> None:
    assert choose_hosts(["a", "b", "c"], "c,a") == ["a", "c"]


def test_a_mistyped_host_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'web1\.example'"):
        choose_hosts(["web1.example", "db"], "web2.exmple")


def test_a_host_that_failed_within_the_budget_gets_no_traffic_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    target: Any = SimpleNamespace(strategy="rolling", batches=["100%"], batch_wait=0.0)
    job: Any = SimpleNamespace(target=target, hold=False)
    fleet: Any = SimpleNamespace(hosts=["a", "b"])
    # As where the environment was blue-green until now: the new release stands beside the old one there.
    run = Run(job, fleet, "deploy", moving={"a", "b"}, left_out={"b": "it was not healthy"})
    switched: list[Any] = []
    monkeypatch.setattr(Run, "work_on", lambda *_: None)
    monkeypatch.setattr(Run, "step", lambda _run, _phase, _work, hosts: switched.extend(hosts))
    run.roll_out()
    assert switched == ["a"]


def unfinished(**facts: Any) -> dict[str, Any]:
    return {"deploy": "d1", "release": "4-d", "bundle": "b" * 64, "step": "prepared", **facts}


def resume(left: dict[str, Any], *, hold: bool) -> Run:
    job: Any = SimpleNamespace(resume=True, hold=hold, target=SimpleNamespace(environment="test"))
    fleet: Any = SimpleNamespace(hosts=["a", "b"])
    run = Run(job, fleet, "deploy", facts={"a": {"transaction": left}, "b": {"transaction": None}})
    bundle: Any = SimpleNamespace(digest="b" * 64)
    choose_release(run, bundle)
    return run


@pytest.mark.parametrize("hold", [True, False])
def test_a_deploy_is_resumed_as_it_was_begun_with_or_without_hold(hold: bool) -> None:
    run = resume(unfinished(hold=hold), hold=hold)
    assert (run.release, run.deploy) == ("4-d", "d1")
    assert resume_line("test", unfinished(hold=hold)).endswith("--resume --hold" if hold else "--resume")
    with pytest.raises(PreflightError, match=f"4-d was begun {'with' if hold else 'without'} --hold") as refused:
        resume(unfinished(hold=hold), hold=not hold)
    assert refused.value.next_step.startswith(resume_line("test", unfinished(hold=hold)) + "; ")


def test_an_unfinished_deploy_of_an_older_version_is_one_without_hold() -> None:
    assert resume(unfinished(), hold=False).release == "4-d"


@pytest.mark.parametrize("hold", [True, False])
def test_the_journal_of_a_deploy_says_whether_it_is_to_hold(hold: bool) -> None:
    job: Any = SimpleNamespace(hold=hold, target=SimpleNamespace(keep=3))
    fleet: Any = SimpleNamespace(hosts=["a"])
    assert Run(job, fleet, "deploy").begin_request("a", None)["state"]["hold"] is hold
