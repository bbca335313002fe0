"""How many tests passed: read from JUnit XML, because a closing line is for people."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_SUITE = re.compile(r"<testsuite\s[^>]*>")
_NUMBER = re.compile(r'\b(tests|failures|errors|skipped)="(\d+)"')


@dataclass(frozen=True)
class Counts:
    """Numbers of tests; an error in a fixture counts as a failed test."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    @property
    def text(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def read_counts(report: Path) -> Counts:
    """Return the counts in a JUnit XML file; zeros when it is not there or is not one."""
    try:
        text = report.read_text("utf-8", "replace")
    except OSError:
        return Counts()
    total = Counts()
    for suite in _SUITE.findall(text):
        said = {name: int(number) for name, number in _NUMBER.findall(suite)}
        failed = said.get("failures", 0) + said.get("errors", 0)
        skipped = said.get("skipped", 0)
        # A test whose teardown fails is counted by pytest as passed and as an error.
        passed = max(0, said.get("tests", 0) - failed - skipped)
        total += Counts(passed, failed, skipped)
    return total


def total(counts: Iterable[Counts]) -> Counts:
    """Return the sum of ``counts``."""
    result = Counts()
    for each in counts:
        result += each
    return result


def write_totals(path: Path, counts: Counts, *, is_red: bool) -> None:
    """Write the plain line that ends ``scripts/test``: ``N passed, N failed``.

    A run that failed without a failed test (a floor, a crash, a missing interpreter) shows at least one.
    """
    failed = max(counts.failed, 1) if is_red else counts.failed
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{counts.passed} passed, {failed} failed\n", "utf-8")
