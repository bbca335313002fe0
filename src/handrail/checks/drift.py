"""Parity as a part of ``inv lint``: whether laptop, hooks and CI still do the same; see `handrail.parity`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.checks.verdict import Finding, Verdict

if TYPE_CHECKING:
    from handrail.checks.tools import ToolCheck
    from handrail.config.schema import Project

NAME = "parity"


def tool_checks(root: Path, project: Project) -> list[ToolCheck]:
    """Return the calls of tools that ``inv lint`` and ``inv typecheck`` make in this project."""
    from handrail.checks.lint import lint_checks
    from handrail.checks.typecheck import typecheck_check

    types = [] if project.checks.types == "off" else [typecheck_check(root, project.checks)]
    return [*lint_checks(root, project.checks), *types]


def is_tested_by_pytest(project: Project) -> bool:
    """Return whether ``inv test`` runs pytest, and no other command."""
    from handrail.parity.words import check_tool

    return not project.checks.test or check_tool(shlex.split(project.checks.test)) == "pytest"


def check_tools(root: Path, project: Project) -> tuple[str, ...]:
    """Return what ``inv check`` runs, as `handrail.parity.words.check_tool` calls each tool."""
    from handrail.parity.words import check_tool

    calls = [[check.tool, *check.args] for check in tool_checks(root, project)]
    calls += [shlex.split(command) for command in project.checks.extra.values()]
    calls += [["pytest"]] if is_tested_by_pytest(project) else []
    return tuple(dict.fromkeys(map(check_tool, calls)))


def run_parity(root: Path, project: Project) -> list[Verdict]:
    """Return one verdict; none where the project wants none."""
    from handrail.parity.look import look

    if project.checks.parity == "off":
        return []
    started = time.monotonic()
    found = look(root, project, check_tools(root, project))
    seconds = time.monotonic() - started
    findings = tuple(Finding(f"{each.message} [{each.code}]", each.file, each.line) for each in found)
    lines = tuple(f"{each.where}: {each.level}: {each.message} [{each.code}]" for each in found)
    count = "1 finding" if len(found) == 1 else f"{len(found)} findings"
    if project.checks.parity == "error" and any(each.level == "error" for each in found):
        return [Verdict(NAME, "failed", seconds, "inv doctor", count, lines, findings)]
    remark = f"{count} of laptop, hooks and CI that differ: inv doctor" if found else ""
    return [Verdict(NAME, "passed", seconds, "inv doctor", remark, lines, findings)]
