"""What to say about an option that was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handrail.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from handrail.tasks.options import Option


def missing_option(task: str, option: Option, folder: Path) -> UsageError:
    """Return the error for a required ``option`` of ``task`` without a value; for ``env`` it names the known ones.

    Raises:
        handrail.errors.ConfigError: the environments cannot be read.
    """
    flag = f"--{option.names[0]}"
    if option.name != "env":
        choices = f"; one of {', '.join(option.accepts.choices)}" if option.accepts.choices else ""
        return UsageError(f"needs {flag}{choices}", next_step=f"inv --help {task}")
    known = known_environments(folder)
    if not known:
        return UsageError(
            f"needs {flag}, and pyproject.toml declares no environment",
            next_step="declare one under [tool.handrail.environments.<name>]",
        )
    return UsageError(f"needs {flag}; known: {', '.join(known)}", next_step=f"inv {task} {flag} {known[0]}")


def known_environments(folder: Path) -> list[str]:
    """Return the names of the environments that the project around ``folder`` declares, as ordered there."""
    from handrail.config.load import find_root, load_project

    return list(load_project(find_root(folder)).environments)
