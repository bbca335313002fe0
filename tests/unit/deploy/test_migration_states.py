from __future__ import annotations

from types import SimpleNamespace

import pytest

from handrail.deploy.migrations import irreversible_sentence, migrations_after, schema_goal, what_stays
from handrail.errors import PreflightError

A, B = {"before": "0", "after": "a"}, {"before": "a", "after": "b"}


def facts(*entries: dict[str, object]) -> dict[str, dict[str, object]]:
    return {"one": {"history": [{"result": "good", "kind": "deploy", **entry} for entry in entries]}}


def test_a_migration_that_a_rollback_took_back_does_not_stand_any_more() -> None:
    history = [{"release": "1-a"}, {"release": "2-b", "migrated": True}]
    assert migrations_after(facts(*history), "1-a") == {"2-b": []}
    back = {"release": "1-a", "kind": "rollback", "lowered": {"from": "b", "to": "a"}}
    assert migrations_after(facts(*history, back), "1-a") == {}
    assert migrations_after(facts(*history, back, {"release": "3-c", "migrated": True}), "1-a") == {"3-c": []}


def test_a_migration_of_a_deploy_that_failed_stands() -> None:
    failed = {"release": "2-b", "migrated": True, "result": "returned"}
    assert migrations_after(facts({"release": "1-a"}, failed, {"release": "3-c"}), "1-a") == {"2-b": []}


def test_the_schema_goes_to_the_state_that_the_older_release_was_deployed_with() -> None:
    known = facts({"release": "1-a", "schema": A}, {"release": "2-b", "schema": B, "migrated": True})
    assert schema_goal(known, "1-a", ["one"], ["one"]) == "a"


def test_what_the_next_release_found_stands_for_a_release_without_a_record() -> None:
    known = facts({"release": "1-a", "migrated": True}, {"release": "2-b", "schema": B, "migrated": True})
    assert schema_goal(known, "1-a", ["one"], ["one"]) == "a"


def test_without_a_record_the_schema_goes_nowhere() -> None:
    unknown = facts(
        {"release": "1-a"}, {"release": "2-b", "migrated": True}, {"release": "3-c", "schema": B, "migrated": True}
    )
    with pytest.raises(PreflightError, match="no state of the schema is recorded for release 1-a"):
        schema_goal(unknown, "1-a", ["one"], ["one"])


def test_some_of_the_hosts_cannot_go_back_with_the_schema() -> None:
    # Hosts were contacted and locked by then.
    with pytest.raises(PreflightError, match=r"all hosts.*two could not be reached"):
        schema_goal(facts({"release": "1-a", "schema": A}), "1-a", ["one"], ["one", "two"])


def test_the_irreversible_migrations_of_every_release_between_are_named_once() -> None:
    entries = [
        {"release": "2-b", "migrated": True, "irreversible": ["0002_drop"], "result": "returned"},
        {"release": "3-c", "migrated": True, "irreversible": []},
        {"release": "4-d", "migrated": True, "irreversible": ["0004_merge", "0005_drop"]},
    ]
    known = {**facts(*entries), "two": facts(*entries)["one"]}
    found = migrations_after(known, "1-a")
    assert found == {"2-b": ["0002_drop"], "3-c": [], "4-d": ["0004_merge", "0005_drop"]}
    assert irreversible_sentence(found) == (
        "release 2-b ran 0002_drop; release 4-d ran 0004_merge and 0005_drop, which cannot be undone"
    )
    assert irreversible_sentence(migrations_after(known, "4-d")) == ""
    assert irreversible_sentence({"3-c": []}) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "nothing is left to clean up"),
        ({"migrated": True}, "the migration stays, and 1-a serves with it"),
        (
            {"step": "migrate"},
            "how far the migration came, nobody can tell without migrate_state: look at the database",
        ),
        ({"step": "migrate", "schema": {"before": "a", "after": "a"}}, "nothing is left to clean up"),
        (
            {"step": "migrate", "migrated": True, "schema": B},
            (
                "a part of the migration stays, with the schema at 'b', and 1-a serves with it; "
                "once deployed, inv rollback --env test --with-migrations takes it back"
            ),
        ),
        (
            {"migrated": True, "schema": {"before": "a", "after": "x\ny\nz"}, "activated": {"one"}},
            (
                "the migration stays, with the schema at 'z' (and 2 more), and 1-a was found healthy with it; "
                "once deployed, inv rollback --env test --with-migrations takes it back"
            ),
        ),
        (
            {"migrated": True, "irreversible": ["0007_drop"], "schema": B},
            (
                "0007_drop ran and cannot be undone, and 1-a serves without what it took away: "
                "deploy a release that works with the schema as it is now"
            ),
        ),
        ({"migrated": True, "previous": {"one": ""}}, "the migration stays, and the next deploy goes on from there"),
    ],
)
def test_a_failed_deploy_says_what_stays_in_the_database(changes: dict[str, object], words: str) -> None:
    changes = dict(changes)
    service = SimpleNamespace(migrate_down="down")
    run = SimpleNamespace(
        kind="deploy", migrated=False, schema=None, irreversible=[], activated=set(), previous={"one": "1-a"},
        job=SimpleNamespace(target=SimpleNamespace(environment="test", service=service)),
    )  # fmt: skip
    step = str(changes.pop("step", ""))
    vars(run).update(changes)
    assert what_stays(run, step) == words  # type: ignore[arg-type]
