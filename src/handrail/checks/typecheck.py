"""``inv typecheck``: mypy, always strict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from handrail.checks.lint import pyproject_tools
from handrail.checks.tools import ToolCheck, run_tool

if TYPE_CHECKING:
    from handrail.checks.verdict import Verdict
    from handrail.commands import Runner


def typecheck_check(root: Path) -> ToolCheck:
    """Return the call of mypy: over ``[tool.mypy] files``, else over ``src``, else over the project."""
    mypy = pyproject_tools(root).get("mypy", {})
    places = () if mypy.get("files") else ("src",) if (root / "src").is_dir() else (".",)
    return ToolCheck("typecheck", "mypy", ("--strict", "--no-pretty", "--no-color-output", *places))


def run_typecheck(root: Path, runner: Runner) -> Verdict:
    """Return mypy's verdict."""
    return run_tool(typecheck_check(root), root, runner)
