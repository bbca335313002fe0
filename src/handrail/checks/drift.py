"""Parity as a part of ``inv lint``: whether laptop, hooks and CI still do the same; see `handrail.parity`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.checks.verdict import Finding, Verdict

if TYPE_CHECKING:
    from handrail.config.schema import Project

NAME = "parity"


def check_tools(root: Path, project: Project) -> tuple[str, ...]:
    """Return what ``inv check`` runs, as `handrail.parity.words.check_tool` calls each tool."""
    from handrail.checks.lint import lint_checks
    from handrail.checks.typecheck import typecheck_check
    from handrail.parity.words import check_tool

    calls = [
        [check.tool, *check.args]
        for check in [*lint_checks(root, project.checks), typecheck_check(root, project.checks)]
    ]
    calls += [shlex.split(command) for command in project.checks.extra.values()]
    return tuple(dict.fromkeys([*map(check_tool, calls), "pytest"]))


def run_parity(root: Path) -> list[Verdict]:
    """Return one verdict; none where the project has no ``[tool.handrail]``, or wants none.

    Raises:
        ConfigError: pyproject.toml is wrong.
    """
    from handrail.checks.lint import pyproject_tools
    from handrail.config.load import load_project
    from handrail.parity.look import look

    if "handrail" not in pyproject_tools(root):
        return []
    project = load_project(root)
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
