"""What is said: what was found, and what comes next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from handrail.scaffold.facts import Facts

if TYPE_CHECKING:
    from handrail.scaffold.write.choices import Choices
    from handrail.ui import Printer

_LINT = {
    "all": "rules and format, as ruff is configured here",
    "check": "ruff's rules as configured here; the format is not checked",
    "errors": "only what cannot run: no `select` chooses ruff's rules, and its own change with its version; "
    "[tool.handrail.checks] lint raises it",
}
_TYPES = {"strict": "mypy, strict", "project": "mypy, as configured here", "off": "not checked (no mypy settings here)"}


def show_facts(facts: Facts, printer: Printer) -> None:
    """Show what was found as a small table."""
    package = facts.package
    layout = {"src": "src layout", "flat": "flat layout", "module": "single module", "none": "no package"}[
        package.layout
    ]
    imports = ", ".join(package.imports[:4])
    rows = [
        ["package", f"{package.name} ({layout}{': ' + imports if imports else ''})"],
        [
            "build",
            facts.build_system or ("setup.py alone" if facts.backend == "setup.py" else "none: a plain tree"),
        ],
        ["python", ", ".join(facts.pythons)],
        ["lock", facts.lock],
        ["tests", f"{facts.tests.runner}{' in ' + facts.tests.folder if facts.tests.folder else ''}"],
    ]
    if facts.web is None:
        rows.append(["service", "none: a library gets everything but deploys"])
    else:
        target = facts.web.entry.target if facts.web.entry else ""
        rows.append(["service", f"{facts.web.framework} {target}"])
        rows.append(["health", facts.web.health or "none found"])
    existing = facts.existing
    there = [*existing.workflows, existing.hooks, existing.dockerfile, existing.compose]
    rows.append(["there", ", ".join(filter(None, there)) or "-"])
    if facts.variables:
        rows.append(["variables", ", ".join(variable.name for variable in facts.variables[:8])
                     + (f" and {len(facts.variables) - 8} more" if len(facts.variables) > 8 else "")])  # fmt: skip
    printer.table("", ["what", "found"], rows)


def show_next(choices: Choices, printer: Printer, *, edits: Iterable[str] = ()) -> None:
    """Say what to type, and how strict the checks are.

    Args:
        edits: files that somebody has to change first, as said above.
    """
    printer.info(f"inv lint checks {_LINT[choices.lint]}")
    printer.info(f"types: {_TYPES[choices.types]}")
    commands = ["scripts/bootstrap", ". .venv/bin/activate", "inv setup", "inv check"]
    if choices.is_service:
        commands.append("inv deploy --env sandbox")
    first = [f"(change {name} as said above: what follows needs it)" for name in edits]
    lines = [*first, "git add -A && git commit -m 'Adopt Handrail'", *commands]
    printer.info("\n  ".join(["next:", *lines]))
