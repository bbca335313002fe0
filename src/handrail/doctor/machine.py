"""This machine: the programs, interpreters and tools that the project's tasks need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from handrail.diagnosis import Diagnosis

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project


def look_at_machine(root: Path, project: Project, runner: Runner) -> tuple[list[Diagnosis], str]:
    """Return the findings, and what was found as a short sentence."""
    from handrail.setup.prerequisites import look, prerequisites

    found = look(prerequisites(project), runner)
    findings = [
        Diagnosis(
            "program-missing" if not each.version else "program-old",
            "error" if each.prerequisite.is_required else "warning",
            each.sentence.rpartition(": ")[0] if ": " in each.sentence else each.sentence,
            mend=each.prerequisite.how_to_get(),
        )
        for each in found
        if not each.is_good
    ]
    findings += _missing_tools(root, project)
    findings += _missing_pythons(root, project, runner)
    versions = ", ".join(f"{each.prerequisite.name} {each.version}" for each in found if each.version)
    return findings, versions


def _missing_tools(root: Path, project: Project) -> list[Diagnosis]:
    from handrail.checks.drift import is_tested_by_pytest, tool_checks
    from handrail.checks.suite import has_module
    from handrail.checks.tools import find_tool

    checks = {check.tool: check.distribution or check.tool for check in tool_checks(root, project)}
    missing = {tool: package for tool, package in checks.items() if find_tool(tool) is None}
    if is_tested_by_pytest(project) and not has_module("pytest"):
        missing["pytest"] = "pytest"
    return [
        Diagnosis(
            "tool-missing",
            "error",
            f"{tool} is not in the environment, and inv check runs it",
            mend=f"uv add --dev {package}, then inv setup",
        )
        for tool, package in missing.items()
    ]


def _missing_pythons(root: Path, project: Project, runner: Runner) -> list[Diagnosis]:
    from handrail.setup.environment import missing_pythons

    if not (root / "noxfile.py").is_file():
        return []
    return [
        Diagnosis(
            "python-missing",
            "warning",
            f"Python {version} of the test matrix is not installed: inv check does not test on it",
            mend=f"inv setup --pythons, or uv python install {version}",
        )
        for version in missing_pythons(project.checks.pythons, runner)
    ]
