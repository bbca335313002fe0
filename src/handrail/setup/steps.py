"""``inv setup``: its steps in order, each with what it did and how long it took."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project
    from handrail.ui import Printer

SLOW_SECONDS = 1.0


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
    """One step; ``run`` returns one short sentence about what it did or found, ``doing`` is what takes its time."""

    name: str
    run: Callable[[], str]
    doing: str = "at work"


def run_setup(root: Path, project: Project, wishes: Wishes, runner: Runner, printer: Printer) -> None:
    """Bring this machine to where the project can be worked on.

    Raises:
        PreflightError: something must be installed first; names all of it.
        HandrailError: a step failed; names the step.
    """
    from handrail.errors import HandrailError
    from handrail.setup.dotenv_file import is_ignored, is_tracked

    check_prerequisites(project, wishes, runner, printer)
    for step in steps(root, project, wishes, runner, printer):
        started = time.monotonic()
        try:
            with _announced(step, printer):
                said = step.run()
        except HandrailError as error:
            error.step = error.step or step.name
            raise
        printer.info(f"{step.name:<12} {time.monotonic() - started:5.1f} s  {said}")
    if is_tracked(root, runner):
        printer.warn(".env is for secrets and git has it: git rm --cached .env, and commit that")
    if not is_ignored(root, runner):
        printer.warn(".env is for secrets and git does not ignore it: add a line .env to .gitignore")
    printer.success("ready: inv --list shows what you can do, inv test is a good start")


@contextmanager
def _announced(step: Step, printer: Printer) -> Iterator[None]:
    """Say what is going on once a step is slow; a second run, which has nothing to do, stays quiet."""
    timer = threading.Timer(SLOW_SECONDS, printer.info, [f"{step.name:<12}     …    {step.doing}"])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


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
        Step("environment", partial(make_environment, root, project, runner), "uv installs the packages"),
        Step(".env", partial(make_dotenv, root)),
    ]
    if wishes.pythons:
        work = partial(install_pythons, project.checks.pythons, runner)
        chosen.append(Step("pythons", work, f"uv installs {', '.join(project.checks.pythons)} where they are missing"))
    if not wishes.minimal:
        chosen.append(Step("hooks", partial(install_hooks, root, runner)))
        if project.setup.compose_file and not wishes.skip_docker:
            work = partial(start_services, root, project, runner, printer.detail)
            chosen.append(Step("services", work, f"docker pulls and starts {project.setup.compose_file}"))
        if project.setup.database and not (project.setup.compose_file and wishes.skip_docker):
            work = partial(initialise_database, root, project, runner, printer.detail)
            chosen.append(Step("database", work, project.setup.database))
    if wishes.editor:
        chosen.append(Step("editor", partial(write_editor_settings, root)))
    return chosen
