from __future__ import annotations

import pytest

from handrail.deploy.schema_diff import row_changes, schema_diff

pytestmark = pytest.mark.unit


def test_what_stayed_as_it_was_is_not_shown() -> None:
    same = {"table notes": ["CREATE TABLE notes (", "    id integer", ")"]}
    assert schema_diff(same, dict(same)) == []


def test_each_object_that_came_went_or_changed_is_a_hunk_under_its_name() -> None:
    columns = [f"    c{number} text," for number in range(12)]
    before = {"table notes": ["(", *columns, ")"], "view old": ["one", "two"]}
    after = {"table notes": ["(", *columns[1:10], "    new text,", *columns[10:], ")"], "index i": ["three"]}
    assert schema_diff(before, after) == [
        "--- before",
        "+++ after",
        "@@ index i (new) @@",
        "+three",
        "@@ table notes @@",
        " (",
        "-    c0 text,",
        "     c1 text,",
        "     c2 text,",
        "  …",
        "     c8 text,",
        "     c9 text,",
        "+    new text,",
        "     c10 text,",
        "     c11 text,",
        "@@ view old (gone) @@",
        "-one",
        "-two",
    ]


def test_only_tables_whose_rows_differ_are_named() -> None:
    changes = row_changes({"a": 1, "b": 2, "gone": 0}, {"a": 1, "b": 3, "new": 0})
    assert changes == [
        {"table": "b", "before": 2, "after": 3},
        {"table": "gone", "before": 0, "after": None},
        {"table": "new", "before": None, "after": 0},
    ]
