"""Who is behind, since when, and what a rollback makes of it: decisions from the hosts' histories alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy.behind import debts, remembered, standing, still_away, taken_out, to_remember
from handrail.deploy.goals import rollback_goal
from handrail.errors import HandrailError, PreflightError

pytestmark = pytest.mark.unit

HOSTS = ["a", "b", "c"]


def run(release: str, origin: str | None, deploy: str, missing: Any = None, kind: str = "deploy") -> dict[str, Any]:
    return {
        "release": release,
        "from": origin,
        "deploy": deploy,
        "kind": kind,
        "result": "good",
        "started": 1000.0,
        "missing": missing or {},
    }


def host(*runs: dict[str, Any], events: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    good = [entry["release"] for entry in runs]
    return {"current": good[-1] if good else "", "good": good, "history": list(runs), "events": events or []}


def left(release: str = "2-b", serves: str = "1-a", **more: Any) -> dict[str, Any]:
    return {"release": release, "kind": "deploy", "since": 1000.0, "serves": serves, "why": "no route", **more}


ONE = run("1-a", None, "r1")
TWO = run("2-b", "1-a", "r2", {"c": left()})


def test_a_host_that_was_left_out_is_behind_with_what_it_serves_and_should_serve() -> None:
    now = standing({"a": host(ONE, TWO), "b": host(ONE, TWO), "c": host(ONE)}, HOSTS)
    assert now.release == "2-b"
    (debt,) = now.behind.values()
    assert (debt.serves, debt.should, debt.missed, debt.since, debt.away) == ("1-a", "2-b", "2-b", 1000.0, False)
    assert debt.sentence().startswith("was left out of 2-b on 1970-01-01")
    assert debt.sentence().endswith("serves 1-a and should serve 2-b")


def test_one_that_is_still_away_is_told_from_the_others_memory() -> None:
    now = standing({"a": host(ONE, TWO), "b": host(ONE, TWO)}, HOSTS)
    assert list(now.behind) == ["c"]
    assert now.behind["c"].away
    assert "is still away, and should serve 2-b (it served 1-a when it was last reached)" in now.behind["c"].sentence()


def test_a_run_with_every_host_ends_the_debt() -> None:
    three = run("3-c", "2-b", "r3")
    facts = {"a": host(ONE, TWO, three), "c": host(ONE, three)}
    assert standing(facts, HOSTS).behind == {}
    del facts["c"]
    assert standing(facts, HOSTS).behind == {}, "also while it cannot be asked"


def test_a_host_that_missed_the_last_run_does_not_speak_for_the_others() -> None:
    three = run("3-c", "2-b", "r3", {"b": left("3-c", "2-b")})
    facts = {"a": host(ONE, TWO, three), "b": host(ONE, TWO)}
    assert set(remembered(facts)) == {"b"}, "what b remembers of c is older than what a does not say"


def test_a_catch_up_of_which_only_the_others_were_told_ends_the_debt() -> None:
    event = {"event": "catch-up", "hosts": ["c"], "of": "r2"}
    assert standing({"a": host(ONE, TWO, events=[event])}, HOSTS).behind == {}
    later = run("3-c", "2-b", "r3", {"c": left("3-c")})
    assert set(standing({"a": host(ONE, TWO, later, events=[event])}, HOSTS).behind) == {"c"}


def test_a_host_that_missed_a_rollback_is_behind_although_its_release_is_newer() -> None:
    two = run("2-b", "1-a", "r2")
    back = run("1-a", "2-b", "r3", {"c": left("1-a", "2-b", kind="rollback")}, kind="rollback")
    facts = {"a": host(ONE, two, back), "b": host(ONE, two, back), "c": host(ONE, two)}
    now = standing(facts, HOSTS)
    assert now.release == "1-a"
    assert now.behind["c"].sentence().startswith("was left out of the rollback to 1-a on")
    assert now.behind["c"].sentence().endswith("serves 2-b and should serve 1-a")


def test_a_rollback_begins_at_what_the_fleet_serves_and_takes_a_host_along_that_missed_the_last_one() -> None:
    zero, two = run("1-a", None, "r0"), run("3-c", "2-b", "r2")
    first = run("2-b", "1-a", "r1")
    back = run("2-b", "3-c", "r3", {"c": left("2-b", "3-c")}, kind="rollback")
    facts = {"a": host(zero, first, two, back), "c": host(zero, first, two)}
    assert rollback_goal(facts, "") == "1-a"
    assert rollback_goal(facts, "2") == "2-b"


@pytest.mark.parametrize("order", [["a", "c"], ["c", "a"]])
def test_a_rollback_goes_one_back_whichever_host_had_missed_a_release(order: list[str]) -> None:
    three = run("3-c", "2-b", "r3")
    facts = {"a": host(ONE, TWO, three), "c": host(ONE, run("3-c", "1-a", "r3"))}
    facts["c"]["good"] += ["2-b"]
    assert rollback_goal({name: facts[name] for name in order}, "") == "2-b"


def test_a_host_that_caught_up_with_an_older_release_does_not_lead_a_rollback_forward() -> None:
    two, three = run("2-b", "1-a", "r2"), run("3-c", "2-b", "r3")
    back = run("2-b", "3-c", "r4", kind="rollback")
    # c missed 2-b, got 3-c, missed the rollback, and got 2-b as a catch-up.
    facts = {"a": host(ONE, two, three, back), "c": host(ONE, run("3-c", "1-a", "r3"), run("2-b", "3-c", "r5"))}
    assert rollback_goal(facts, "") == "1-a"
    assert rollback_goal({"c": facts["c"], "a": facts["a"]}, "") == "1-a"


def test_a_fleet_that_somebody_mixed_on_purpose_has_no_debts_but_is_behind_its_newest() -> None:
    facts = {"a": host(ONE, run("2-b", "1-a", "r2")), "b": host(ONE)}
    now = standing(facts, ["a", "b"])
    assert debts(now) == {}
    assert now.behind["b"].sentence() == "serves 1-a and should serve 2-b"


def test_a_host_that_is_no_longer_declared_owes_nothing() -> None:
    assert standing({"a": host(ONE, TWO)}, ["a", "b"]).behind == {}


def test_lines_of_an_older_version_name_the_hosts_alone() -> None:
    now = standing({"a": host(ONE, run("2-b", "1-a", "r2", ["c"]))}, HOSTS)
    assert (now.behind["c"].missed, now.behind["c"].since, now.behind["c"].serves) == ("2-b", 1000.0, "")


def a_run(now: Any, brought: list[str], **changes: Any) -> Any:
    facts = {
        "standing": now,
        "skipped": {},
        "left_out": {},
        "fleet": SimpleNamespace(hosts=brought),
        "owed": {},
        "previous": dict.fromkeys(brought, "2-b"),
        "release": "3-c",
        "kind": "deploy",
        "started": 2000.0,
    }
    return SimpleNamespace(**{**facts, **changes})


def test_a_host_that_stays_away_is_remembered_since_the_first_run_that_it_missed() -> None:
    now = standing({"a": host(ONE, TWO)}, HOSTS)
    memory = to_remember(a_run(now, ["a"], skipped={"c": "no route"}))
    assert memory["c"] == left()


def test_a_host_that_was_not_chosen_stays_in_memory_and_one_that_was_brought_along_does_not() -> None:
    now = standing({"a": host(ONE, TWO), "c": host(ONE)}, HOSTS)
    assert set(to_remember(a_run(now, ["a"]))) == {"c"}
    assert to_remember(a_run(now, ["a", "c"])) == {}


def test_a_host_within_the_failure_budget_is_remembered_with_what_it_returned_to() -> None:
    now = standing({"a": host(ONE), "b": host(ONE)}, HOSTS)
    memory = to_remember(a_run(now, ["a", "b"], left_out={"b": "sick"}, previous={"a": "1-a", "b": "1-a"}))
    assert memory == {"b": left("3-c", "1-a", since=2000.0, why="sick")}


def test_the_refusal_names_the_host_and_the_way_on() -> None:
    now = standing({"a": host(ONE, TWO)}, HOSTS)
    error = PreflightError("c: cannot connect", host="c")
    refusal = still_away(error, now, ["c"], "test")
    assert (refusal.exit_code, refusal.host) == (3, "c")
    assert refusal.message.startswith("c was left out of 2-b on")
    assert "--skip-unreachable" in refusal.next_step
    other: HandrailError = still_away(error, now, ["b"], "test")
    assert other is error


def test_a_host_of_the_last_deploy_that_is_not_declared_any_more_is_named() -> None:
    fleet = {"deploy": "r2", "hosts": HOSTS}
    facts = {"a": {**host(ONE, TWO), "fleet": fleet}, "b": {**host(ONE, TWO), "fleet": fleet}}
    assert taken_out(facts, ["a", "b"]) == ["c"]
    assert taken_out(facts, HOSTS) == []
    assert taken_out({"a": {**host(), "fleet": None}}, ["a"]) == []


def test_a_host_that_was_left_out_knows_an_older_fleet_which_says_nothing() -> None:
    facts = {
        "a": {**host(ONE, TWO), "fleet": {"deploy": "r2", "hosts": ["a", "b"]}},
        "b": {**host(ONE), "fleet": {"deploy": "r1", "hosts": HOSTS}},
    }
    assert taken_out(facts, ["a", "b"]) == []


def test_a_deploy_that_was_undone_forgets_no_fleet() -> None:
    undone = run("1-a", "2-b", "r2-undo")
    facts = {"a": {**host(ONE, undone), "fleet": {"deploy": "r1", "hosts": HOSTS}}}
    assert taken_out(facts, ["a", "b"]) == ["c"]


def test_a_host_that_is_only_spelled_otherwise_was_not_taken_out() -> None:
    facts = {"web1": {**host(ONE), "fleet": {"deploy": "r1", "hosts": ["deploy@web1", "deploy@web2"]}}}
    assert taken_out(facts, ["web1", "web2:22"]) == []


def test_two_releases_of_one_number_are_judged_alike_in_every_look() -> None:
    """Deploys to different --hosts count on their own."""
    six = {name: host(run(f"6-{commit}", None, commit)) for name, commit in (("a", "abc"), ("b", "def"))}
    assert standing(six, ["a", "b"]).release == standing(dict(reversed(six.items())), ["b", "a"]).release == "6-def"
