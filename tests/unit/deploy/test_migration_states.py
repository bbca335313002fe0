from __future__ import annotations

import pytest

from handrail.deploy.migrations import migrations_after, schema_goal
from handrail.errors import PreflightError, UsageError

A, B = {"before": "0", "after": "a"}, {"before": "a", "after": "b"}


def facts(*entries: dict[str, object]) -> dict[str, dict[str, object]]:
    return {"one": {"history": [{"result": "good", "kind": "deploy", **entry} for entry in entries]}}


def test_a_migration_that_a_rollback_took_back_does_not_stand_any_more() -> None:
    history = [{"release": "1-a"}, {"release": "2-b", "migrated": True}]
    assert migrations_after(facts(*history), "1-a") == ["2-b"]
    back = {"release": "1-a", "kind": "rollback", "lowered": {"from": "b", "to": "a"}}
    assert migrations_after(facts(*history, back), "1-a") == []
    assert migrations_after(facts(*history, back, {"release": "3-c", "migrated": True}), "1-a") == ["3-c"]


def test_a_migration_of_a_deploy_that_failed_stands() -> None:
    failed = {"release": "2-b", "migrated": True, "result": "returned"}
    assert migrations_after(facts({"release": "1-a"}, failed, {"release": "3-c"}), "1-a") == ["2-b"]


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
    with pytest.raises(UsageError, match="all hosts"):
        schema_goal(facts({"release": "1-a", "schema": A}), "1-a", ["one"], ["one", "two"])
