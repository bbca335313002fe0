"""``inv lint``: style and format, import contracts, and the safety of the workflow files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.checks.tools import ToolCheck, run_tool
from handrail.config.load import place
from handrail.errors import ConfigError

if TYPE_CHECKING:
    from handrail.checks.verdict import Verdict
    from handrail.commands import Runner
    from handrail.config.schema import Checks, Project

WORKFLOWS = ".github/workflows"
# Files that Python could not run, or names that are nowhere defined: wrong in any style.
ERRORS = ("--isolated", "--select", "E9,F63,F7,F82")


def lint_checks(root: Path, declared: Checks, *, fix: bool = False) -> list[ToolCheck]:
    """Return the tools that apply to the project in ``root``, in their order; ``fix`` lets ruff write.

    Raises:
        ConfigError: a declared place of workflows does not exist.
    """
    rules = ERRORS if declared.lint == "errors" else ()
    checks = [
        ToolCheck("style", "ruff", ("check", "--output-format", "concise", *rules, *(["--fix"] if fix else []), ".")),
    ]
    if declared.lint == "all":
        words = () if fix else ("--check", "--output-format", "concise")
        checks.append(ToolCheck("format", "ruff", ("format", *words, ".")))
    if has_import_contracts(root):
        checks.append(ToolCheck("imports", "lint-imports", ("--no-logo",), "import-linter"))
    for index, name in enumerate(declared.workflows):
        if name != WORKFLOWS and not (root / name).exists():
            raise ConfigError(
                f"{place(root, 'checks', 'workflows', index)}: workflows names {name}, which does not exist"
            )
    if found := [name for name in declared.workflows if has_workflows(root, name)]:
        # Offline, so that a laptop in a train and CI say the same.
        checks.append(ToolCheck("workflows", "zizmor", ("--offline", "--no-progress", "--color", "never", *found)))
    return checks


def run_lint(root: Path, project: Project, runner: Runner, *, fix: bool = False) -> list[Verdict]:
    """Return the verdict of each tool, and of parity; with ``fix`` after repairing what can be repaired."""
    from handrail.checks.drift import run_parity

    verdicts = [run_tool(check, root, runner) for check in lint_checks(root, project.checks, fix=fix)]
    return [*verdicts, *run_parity(root, project)]


def has_import_contracts(root: Path) -> bool:
    """Whether the project configures import-linter in one of the places where that looks."""
    if (root / ".importlinter").is_file():
        return True
    setup_cfg = root / "setup.cfg"
    if setup_cfg.is_file() and "[importlinter" in setup_cfg.read_text("utf-8", "replace"):
        return True
    return "importlinter" in pyproject_tools(root)


def has_workflows(root: Path, name: str) -> bool:
    """Whether ``name`` is a workflow file, or a folder with one."""
    folder = root / name
    return folder.is_file() or any(folder.glob("*.yml")) or any(folder.glob("*.yaml"))


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
