"""The specification of faults, docs/reliability.md: each row is held by tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from handrail.testing.faults import CATALOGUE

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "reliability.md"
ROWS = re.findall(r"^\| (\d+) \|(.*)\|$", PAGE.read_text("utf-8"), flags=re.MULTILINE)

pytestmark = pytest.mark.unit


def test_the_specification_has_all_rows_in_order() -> None:
    assert [int(number) for number, _ in ROWS] == list(range(1, 19))


@pytest.mark.parametrize(("number", "row"), ROWS, ids=[f"row {number}" for number, _ in ROWS])
def test_each_row_is_held_by_a_test_that_exists(number: str, row: str) -> None:
    links = re.findall(r"\]\(\.\./(tests/\S+\.py)\)", row)
    assert links
    for link in links:
        assert "def test_" in (ROOT / link).read_text("utf-8"), link
    own = [Path(link).name for link in links if link.startswith("tests/faults/")]
    for name in own:
        assert number.zfill(2) in re.findall(r"\d\d", name), f"{name} does not say that it is about row {number}"


def test_each_fault_of_the_catalogue_is_injected_by_a_test() -> None:
    text = "".join(path.read_text("utf-8") for path in (ROOT / "tests" / "faults").glob("test_*.py"))
    unused = [
        name
        for name in CATALOGUE
        if f'"{name}"' not in text and "bytes" not in name and not name.startswith("client gets SIG")
    ]
    assert unused == []
