"""``inv lint``: style and format, import contracts, and the safety of the workflow files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.checks.tools import ToolCheck, run_tool

if TYPE_CHECKING:
    from handrail.checks.verdict import Verdict
    from handrail.commands import Runner

WORKFLOWS = ".github/workflows"


def lint_checks(root: Path, *, fix: bool = False) -> list[ToolCheck]:
    """Return the tools that apply to the project in ``root``, in their order; ``fix`` lets ruff write."""
    checks = [
        ToolCheck("style", "ruff", ("check", "--output-format", "concise", *(["--fix"] if fix else []), ".")),
        ToolCheck("format", "ruff", ("format", *([] if fix else ["--check", "--output-format", "concise"]), ".")),
    ]
    if has_import_contracts(root):
        checks.append(ToolCheck("imports", "lint-imports", ("--no-logo",), "import-linter"))
    if has_workflows(root):
        # Offline, so that a laptop in a train and CI say the same.
        checks.append(ToolCheck("workflows", "zizmor", ("--offline", "--no-progress", "--color", "never", WORKFLOWS)))
    return checks


def run_lint(root: Path, runner: Runner, *, fix: bool = False) -> list[Verdict]:
    """Return the verdict of each tool, and of parity; with ``fix`` after repairing what can be repaired."""
    from handrail.checks.drift import run_parity

    verdicts = [run_tool(check, root, runner) for check in lint_checks(root, fix=fix)]
    return [*verdicts, *run_parity(root)]


def has_import_contracts(root: Path) -> bool:
    """Whether the project configures import-linter in one of the places where that looks."""
    if (root / ".importlinter").is_file():
        return True
    setup_cfg = root / "setup.cfg"
    if setup_cfg.is_file() and "[importlinter" in setup_cfg.read_text("utf-8", "replace"):
        return True
    return "importlinter" in pyproject_tools(root)


def has_workflows(root: Path) -> bool:
    """Whether there is a GitHub workflow."""
    folder = root / WORKFLOWS
    return any(folder.glob("*.yml")) or any(folder.glob("*.yaml"))


def pyproject_tools(root: Path) -> dict[str, Any]:
    """Return ``[tool]`` of pyproject.toml; empty where there is none.

    Raises:
        ConfigError: pyproject.toml cannot be read.
        ValueError: it is not TOML (`handrail.config.load.load_project` says so better, and earlier).
    """
    from handrail.config.load import parse_toml, read_text

    if not (root / "pyproject.toml").is_file():
        return {}
    tools = parse_toml(read_text(root, "pyproject.toml")).get("tool", {})
    return tools if isinstance(tools, dict) else {}
