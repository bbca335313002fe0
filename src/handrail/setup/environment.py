"""The virtual environment with exactly the locked packages, made by uv."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.build.development import is_locked_by_uv, plain_requirements
from handrail.build.tools import find_uv
from handrail.errors import PreflightError
from handrail.pythons import find_pythons

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project

_PLACE = "UV_PROJECT_ENVIRONMENT"
_FACTS = "pyvenv.cfg"
_ANEW = "--clear"
_NUMBERS = re.compile(r"\d+(\.\d+)*")


def environment_commands(root: Path, project: Project) -> list[list[str]]:
    """Return the commands that bring the environment to the locked state; each of them may be repeated.

    A locked project is synchronised; one without a lock is locked on the way; a plain tree gets what its
    requirements file names, in a new environment where the one there has another Python or none.
    """
    uv = find_uv()
    place = environment_place()
    python = ["--python", project.setup.python] if project.setup.python else []
    plain = plain_requirements(root, project)
    locked = ["--locked"] if (root / "uv.lock").is_file() else []
    if locked or is_locked_by_uv(root):
        # What the requirements file brings is not in the lock and must stay.
        beside = ["--inexact"] if plain else []
        commands = [[uv, "sync", "--quiet", *locked, "--all-extras", *beside, *python]]
    else:
        is_there = (root / place / _FACTS).is_file()
        is_good = is_there and is_usable(root / place, project.setup.python)
        commands = [] if is_good else [[uv, "venv", "--quiet", *([_ANEW] if is_there else []), *python, place]]
    if plain:
        commands.append([uv, "pip", "install", "--quiet", "--python", place, "-r", plain])
    return commands


def environment_place() -> str:
    """Return where the environment is: ``.venv``, or elsewhere on purpose, as in a container or CI image."""
    return os.environ.get(_PLACE) or ".venv"


def is_usable(environment: Path, python: str = "") -> bool:
    """Return whether its interpreter is still there, and is the one that ``python`` asks for as ``3.12`` or ``3.12.4``.

    What uv alone understands, such as ``>=3.12``, it fulfils.
    """
    try:
        facts = dict(re.findall(r"(?m)^(\w+) *= *(.*?) *$", (environment / _FACTS).read_text("utf-8")))
    except (OSError, UnicodeDecodeError):
        return False
    has = facts.get("version_info") or facts.get("version") or ""
    is_other = bool(_NUMBERS.fullmatch(python) and _NUMBERS.match(has)) and not f"{has}.".startswith(f"{python}.")
    return os.access(environment / "bin" / "python", os.X_OK) and not is_other


def environment_variables() -> dict[str, str]:
    """Return the variables for uv: the project's own environment, whichever one is active."""
    values = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return {**values, _PLACE: environment_place()}


def make_environment(root: Path, project: Project, runner: Runner) -> str:
    """Make or update the environment; return what to say about it.

    Raises:
        PreflightError: this very environment would have to be made anew.
        TaskFailedError: uv refused, such as for a lock that does not fit pyproject.toml.
    """
    place = environment_place()
    is_inside = Path(sys.prefix).resolve() == (root / place).resolve()
    commands = environment_commands(root, project)
    if is_inside and any(_ANEW in argv for argv in commands):
        raise PreflightError(
            f"{place} has another Python than setup.python, {project.setup.python}, and inv runs in it",
            next_step=f"delete {place}, then make it anew as you made it, with Python {project.setup.python}",
        )
    for argv in commands:
        runner.run(argv, cwd=root, env=environment_variables())
    return f"{place} is up to date" + ("" if is_inside else f"; activate it: . {place}/bin/activate")


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
