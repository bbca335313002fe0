"""``inv typecheck``: mypy, strict unless the project says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from handrail.checks.lint import pyproject_tools
from handrail.checks.tools import ToolCheck, run_tool

if TYPE_CHECKING:
    from handrail.checks.verdict import Verdict
    from handrail.commands import Runner
    from handrail.config.schema import Checks


def typecheck_check(root: Path, declared: Checks) -> ToolCheck:
    """Return the call of mypy: over ``[tool.mypy] files``, else over ``src``, else over the project."""
    strict = ("--strict",) if declared.types == "strict" else ()
    mypy = pyproject_tools(root).get("mypy", {})
    named = any(mypy.get(key) for key in ("files", "packages", "modules"))
    places = () if named else ("src",) if (root / "src").is_dir() else (".",)
    return ToolCheck("typecheck", "mypy", (*strict, "--no-pretty", "--no-color-output", *places))


def run_typecheck(root: Path, runner: Runner, declared: Checks) -> Verdict:
    """Return mypy's verdict."""
    return run_tool(typecheck_check(root, declared), root, runner)
