"""What ``inv test`` does with its options: tests here, on one Python of the matrix, or both on all."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.checks.counts import Counts, write_totals
from handrail.checks.matrix import choose_versions, run_matrix
from handrail.checks.report import annotate, show_table, summarize
from handrail.checks.suite import REPORTS, Selection, run_suite

if TYPE_CHECKING:
    from handrail.checks.verdict import Verdict
    from handrail.commands import Runner
    from handrail.config.schema import Project
    from handrail.ui import Printer

TOTALS = f"{REPORTS}/totals.txt"


def run_tests(
    root: Path,
    project: Project,
    selection: Selection,
    runner: Runner,
    printer: Printer,
    *,
    python: str = "",
    matrix: bool = False,
) -> list[Verdict]:
    """Run the tests that were asked for and show what they say; return the verdicts.

    The totals are left in ``.handrail/reports/totals.txt``, whatever the verdicts are.

    Args:
        python: only the matrix session of this version.
        matrix: the tests here, then all sessions of the matrix.
    """
    (root / TOTALS).unlink(missing_ok=True)
    verdicts: list[Verdict] = []
    counts = Counts()
    if not python:
        with _folded("tests", printer):
            verdict, counts = run_suite(root, project, selection, runner, printer.output)
        annotate(verdict, printer)
        verdicts.append(verdict)
    if python or matrix:
        versions = choose_versions(project.checks.pythons, python)
        words = [*(["-m", selection.marker] if selection.marker else []), *selection.args]
        counted = not project.checks.test
        with _folded("tests on every Python, against the wheel", printer):
            more, matrix_counts = run_matrix(root, versions, runner, printer.output, words, counted=counted)
        for verdict in more:
            annotate(verdict, printer)
        verdicts += more
        counts += matrix_counts
        show_table("tests", verdicts, printer)
        for absent in (verdict for verdict in more if verdict.state == "not run"):
            printer.warn(f"NOT TESTED: {absent.remark}")
    summarize("test", verdicts, printer)
    write_totals(root / TOTALS, counts, is_red=any(verdict.state == "failed" for verdict in verdicts))
    return verdicts


def _folded(title: str, printer: Printer) -> AbstractContextManager[None]:
    """Return a log group in GitHub Actions; on a laptop the tests' own lines need no heading."""
    return printer.section(title) if os.environ.get("GITHUB_ACTIONS") == "true" else nullcontext()
