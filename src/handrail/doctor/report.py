"""Showing findings: one line each with its place, one below it with what to do; annotations in GitHub Actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handrail.errors import TaskFailedError

if TYPE_CHECKING:
    from handrail.diagnosis import Diagnosis
    from handrail.ui import Printer


def show_part(name: str, findings: Sequence[Diagnosis], remark: str, printer: Printer) -> None:
    """Show one part: a line when all is well, else its findings, the worst first."""
    if not findings:
        printer.success(f"{name}: well{f' ({remark})' if remark else ''}")
        return
    printer.info(f"{name}: {counted(findings)}")
    order = ("error", "warning", "notice")
    for finding in sorted(findings, key=lambda finding: order.index(finding.level)):
        host = f"{finding.host}: " if finding.host else ""
        printer.annotate(finding.level, f"{host}{finding.message} [{finding.code}]", finding.file, finding.line)
        if finding.mend:
            printer.info(f"    {finding.mend}")


def counted(findings: Sequence[Diagnosis]) -> str:
    """Return ``2 errors, 1 warning``."""
    parts = []
    for level in ("error", "warning", "notice"):
        number = sum(finding.level == level for finding in findings)
        if number:
            parts.append(f"{number} {level}{'s' if number > 1 else ''}")
    return ", ".join(parts) or "nothing"


def as_markdown(parts: Mapping[str, Sequence[Diagnosis]]) -> str:
    """Return the findings as a table for a GitHub step summary."""
    marks = {"error": "❌", "warning": "⚠️", "notice": "💬"}
    rows = [
        f"| {marks[each.level]} | {name} | `{each.code}` | {each.where} | {each.message.replace('|', chr(92) + '|')} |"
        for name, findings in parts.items()
        for each in findings
    ]
    well = [name for name, findings in parts.items() if not findings]
    table = ["| | part | code | where | what |", "|---|---|---|---|---|", *rows, ""] if rows else []
    return "\n".join(["### doctor", "", *table, *([f"✅ {', '.join(well)}"] if well else []), ""])


def document(parts: dict[str, list[Diagnosis]], **more: Any) -> dict[str, Any]:
    """Return what ``--json`` prints; ``ok`` is false where a finding is an error."""
    every = [finding for findings in parts.values() for finding in findings]
    return {
        "command": "doctor",
        "ok": not any(finding.level == "error" for finding in every),
        "findings": [{"part": name, **each.document()} for name, findings in parts.items() for each in findings],
        **more,
    }


def require_well(findings: Sequence[Diagnosis], printer: Printer, *, fixable: bool) -> None:
    """End the task where something is an error.

    Raises:
        TaskFailedError: says how many there are.
    """
    hint = "inv doctor --fix repairs what can be repaired without loss" if fixable else ""
    if any(finding.level == "error" for finding in findings):
        raise TaskFailedError(f"found {counted(findings)}", next_step=hint)
    if findings:
        printer.warn(f"{counted(findings)}{f'; {hint}' if hint else ''}")
    else:
        printer.success("nothing to mend")
