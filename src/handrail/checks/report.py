"""Showing verdicts: quiet on success, everything on failure, and beside the source line in CI."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.errors import TaskFailedError

if TYPE_CHECKING:
    from handrail.checks.check import CheckOutcome
    from handrail.checks.verdict import Verdict
    from handrail.ui import Printer

COLUMNS = ("check", "verdict", "seconds", "")


def show(verdict: Verdict, printer: Printer) -> None:
    """Show one verdict: a line when it is green, else all that its tool said."""
    if verdict.is_green:
        printer.success(f"{verdict.name} passed in {verdict.seconds:.1f} s")
        if verdict.findings:
            printer.warn(f"{verdict.name}: {verdict.remark}")
            annotate(verdict, printer)
        return
    said = f"{verdict.name}: {verdict.state}" + (f" ({verdict.remark})" if verdict.remark else "")
    if verdict.lines:
        with printer.section(said):
            for line in verdict.lines:
                printer.output(line)
    printer.warn(said)
    annotate(verdict, printer)


def annotate(verdict: Verdict, printer: Printer) -> None:
    """Attach what a check found to its lines, in GitHub Actions; elsewhere the tool's own lines have said the same."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for finding in verdict.findings:
            level = "warning" if verdict.is_green else "error"
            printer.annotate(level, f"{verdict.name}: {finding.message}", finding.file, finding.line)


def summarize(title: str, verdicts: Sequence[Verdict], printer: Printer) -> None:
    """Put the verdict table on the page that GitHub Actions shows for the job."""
    printer.summary(as_markdown(title, verdicts))


def show_table(title: str, verdicts: Sequence[Verdict], printer: Printer) -> None:
    """Show the one table: name, verdict, seconds, remark."""
    rows = [
        [verdict.name, verdict.state.upper() if not verdict.is_green else verdict.state,
         f"{verdict.seconds:.1f}", verdict.remark]
        for verdict in verdicts
    ]  # fmt: skip
    printer.table(title, COLUMNS, rows)


def as_markdown(title: str, verdicts: Sequence[Verdict]) -> str:
    """Return the table for a GitHub step summary."""
    marks = {"passed": "✅ passed", "failed": "❌ failed", "not run": "⚠️ not run"}
    remarks = [" ".join(verdict.remark.replace("|", "\\|").split()) for verdict in verdicts]
    rows = [
        f"| {v.name} | {marks[v.state]} | {v.seconds:.1f} | {remark} |"
        for v, remark in zip(verdicts, remarks, strict=True)
    ]
    return "\n".join([f"### {title}", "", "| check | verdict | seconds | |", "|---|---|---:|---|", *rows, ""])


def require_green_verdicts(verdicts: Sequence[Verdict]) -> None:
    """End the task when a verdict is red.

    Raises:
        TaskFailedError: names the red ones and the command that asks the first of them again.
    """
    red = [verdict for verdict in verdicts if verdict.state == "failed"]
    if not red:
        return
    names = "; ".join(f"{verdict.name}: {verdict.remark}" if verdict.remark else verdict.name for verdict in red)
    fixable = any(verdict.name in ("style", "format", "lint") for verdict in red)
    raise TaskFailedError(
        names,
        command=red[0].command,
        next_step="inv lint --fix repairs what can be repaired" if fixable else "",
    )


def conclude(root: Path, outcome: CheckOutcome, printer: Printer) -> None:
    """Write the record of ``inv check``, show the one table, and say what a deploy will make of it."""
    from handrail.checks.record import record_path, write_record

    record = outcome.record
    document = {"command": "check", **asdict(record), "green": not record.problems()}
    show_table("check", outcome.verdicts, printer)
    summarize("check", outcome.verdicts, printer)
    printer.result(document)
    for verdict in outcome.verdicts:
        if verdict.state == "not run":
            printer.warn(f"NOT TESTED: {verdict.remark}")
    if not record.commit:
        printer.warn("nothing is recorded: there is no git commit yet")
        return
    write_record(root, record)
    if problems := record.problems():
        printer.warn(f"no deploy with require_check takes this commit: {'; '.join(problems)}")
    else:
        shown = record_path(root, record.commit).relative_to(root)
        printer.success(f"commit {record.commit[:12]} is green, recorded in {shown}")
