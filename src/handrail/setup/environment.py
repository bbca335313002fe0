"""The virtual environment with exactly the locked packages, made by uv."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.build.development import is_locked_by_uv, plain_requirements
from handrail.build.tools import find_uv
from handrail.pythons import find_pythons

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project


def environment_commands(root: Path, project: Project) -> list[list[str]]:
    """Return the commands that bring ``.venv`` to the locked state; each of them may be repeated.

    A locked project is synchronised; one without a lock is locked on the way; a plain tree gets what its
    requirements file names.
    """
    uv = find_uv()
    python = ["--python", project.setup.python] if project.setup.python else []
    plain = plain_requirements(root, project)
    locked = ["--locked"] if (root / "uv.lock").is_file() else []
    if locked or is_locked_by_uv(root):
        # What the requirements file brings is not in the lock and must stay.
        beside = ["--inexact"] if plain else []
        commands = [[uv, "sync", "--quiet", *locked, "--all-extras", *beside, *python]]
    else:
        commands = [] if (root / ".venv" / "pyvenv.cfg").is_file() else [[uv, "venv", "--quiet", *python]]
    if plain:
        commands.append([uv, "pip", "install", "--quiet", "--python", ".venv", "-r", plain])
    return commands


def environment_variables() -> dict[str, str]:
    """Return the variables for uv: the project's own ``.venv``, whichever environment is active."""
    values = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    # In a container or CI image the environment may be elsewhere on purpose.
    values.setdefault("UV_PROJECT_ENVIRONMENT", ".venv")
    return values


def make_environment(root: Path, project: Project, runner: Runner) -> str:
    """Make or update ``.venv``; return what to say about it.

    Raises:
        TaskFailedError: uv refused, such as for a lock that does not fit pyproject.toml.
    """
    for argv in environment_commands(root, project):
        runner.run(argv, cwd=root, env=environment_variables())
    inside = Path(sys.prefix).resolve() == (root / ".venv").resolve()
    return ".venv is up to date" if inside else ".venv is up to date; activate it: . .venv/bin/activate"


def missing_pythons(versions: Sequence[str], runner: Runner) -> list[str]:
    """Return which of the matrix's versions this machine lacks."""
    found = find_pythons(versions, runner)
    return [version for version in versions if version not in found]


def install_pythons(versions: Sequence[str], runner: Runner) -> str:
    """Install the matrix's interpreters that this machine lacks, with uv; return what to say about it.

    Raises:
        TaskFailedError: uv could not get one.
    """
    missing = missing_pythons(versions, runner)
    if not missing:
        return f"{', '.join(versions)} are here"
    # Into uv's own folder, without touching ~/.local/bin: the matrix finds them there.
    runner.run([find_uv(), "python", "install", "--no-bin", *missing])
    return f"installed {', '.join(missing)}"
