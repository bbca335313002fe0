"""Which irreversible migrations a run of ``migrate`` has crossed, as far as the tools let one know."""

from __future__ import annotations

import pytest

from handrail.agent.schema import crossed

pytestmark = pytest.mark.unit

DJANGO = {"before": "notes 0006_add", "after": "notes 0007_drop_column"}
ALEMBIC = {"before": "a1", "after": "c3"}


@pytest.mark.parametrize(
    ("schema", "lines"),
    [
        (DJANGO, []),
        (ALEMBIC, ["INFO  Running upgrade a1 -> 0007_drop_column, drop"]),
        (None, ["Applying notes.0007_drop_column... OK"]),
    ],
)
def test_a_name_in_the_new_state_or_in_what_migrate_printed_was_applied(schema, lines: list[str]) -> None:
    assert crossed(["0007_drop_column"], ["0007_drop_column"], schema, lines) == ["0007_drop_column"]


def test_a_name_that_nothing_prints_was_applied_by_the_release_that_declares_it_first() -> None:
    assert crossed(["b2"], [], ALEMBIC, []) == ["b2"]
    assert crossed(["b2"], ["b2"], ALEMBIC, []) == []


def test_what_the_database_had_before_was_not_applied_again() -> None:
    assert crossed(["notes 0006_add"], [], DJANGO, ["notes 0006_add is there"]) == []


def test_a_name_is_found_as_a_whole_only() -> None:
    assert crossed(["0007_drop"], ["0007_drop"], DJANGO, ["0007_drop_column"]) == []
