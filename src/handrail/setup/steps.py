"""``inv setup``: its steps in order, each with what it did and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project
    from handrail.ui import Printer


@dataclass(frozen=True)
class Wishes:
    """What was asked for.

    Attributes:
        minimal: only the environment and ``.env``; no hooks, services, database or editor settings.
        skip_docker: no services, and no database that may live in them.
        editor: also VS Code settings.
        pythons: also the interpreters of the test matrix that are missing.
    """

    minimal: bool = False
    skip_docker: bool = False
    editor: bool = False
    pythons: bool = False


@dataclass(frozen=True)
class Step:
    """One step; ``run`` returns one short sentence about what it did or found."""

    name: str
    run: Callable[[], str]


def run_setup(root: Path, project: Project, wishes: Wishes, runner: Runner, printer: Printer) -> None:
    """Bring this machine to where the project can be worked on.

    Raises:
        PreflightError: something must be installed first; names all of it.
        HandrailError: a step failed; names the step.
    """
    from handrail.errors import HandrailError

    check_prerequisites(project, wishes, runner, printer)
    for step in steps(root, project, wishes, runner, printer):
        started = time.monotonic()
        printer.detail(f"{step.name} …")
        try:
            said = step.run()
        except HandrailError as error:
            error.step = error.step or step.name
            raise
        printer.info(f"{step.name:<12} {time.monotonic() - started:5.1f} s  {said}")
    printer.success("ready: inv --list shows what you can do, inv test is a good start")


def check_prerequisites(project: Project, wishes: Wishes, runner: Runner, printer: Printer) -> None:
    """Show each prerequisite with the version found; refuse when a required one is missing."""
    from handrail.setup.prerequisites import look, prerequisites, require, rows

    found = look(prerequisites(project, skip_docker=wishes.skip_docker or wishes.minimal), runner)
    printer.table("", ["needs", "found", "at least", ""], rows(found))
    require(found)
    for each in found:
        if not each.is_good:
            printer.warn(each.sentence)


def steps(root: Path, project: Project, wishes: Wishes, runner: Runner, printer: Printer) -> list[Step]:
    """Return the steps that apply, in order."""
    from handrail.setup.dotenv_file import make_dotenv
    from handrail.setup.editor import write_editor_settings
    from handrail.setup.environment import install_pythons, make_environment
    from handrail.setup.git_hooks import install_hooks
    from handrail.setup.services import initialise_database, start_services

    chosen = [
        Step("environment", partial(make_environment, root, project, runner)),
        Step(".env", partial(make_dotenv, root)),
    ]
    if wishes.pythons:
        chosen.append(Step("pythons", partial(install_pythons, project.checks.pythons, runner)))
    if not wishes.minimal:
        chosen.append(Step("hooks", partial(install_hooks, root, runner)))
        if project.setup.compose_file and not wishes.skip_docker:
            chosen.append(Step("services", partial(start_services, root, project, runner, printer.detail)))
        if project.setup.database and not (project.setup.compose_file and wishes.skip_docker):
            chosen.append(Step("database", partial(initialise_database, root, project, runner, printer.detail)))
    if wishes.editor:
        chosen.append(Step("editor", partial(write_editor_settings, root)))
    return chosen
