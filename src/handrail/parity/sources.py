"""Everything that the rules look at, read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from handrail.diagnosis import Diagnosis, located
from handrail.errors import ConfigError, as_sentence
from handrail.parity.declared import Declared, read_declared
from handrail.parity.hooks import Repository, read_hooks
from handrail.parity.locked import Locked, read_lock
from handrail.parity.sessions import Sessions, read_sessions
from handrail.parity.workflows import Workflow, read_workflow, workflow_files

if TYPE_CHECKING:
    from handrail.config.schema import Project

Found = TypeVar("Found")


@dataclass(frozen=True)
class Sources:
    """The files of one project.

    Attributes:
        tools: what ``inv check`` runs, as `handrail.parity.words.check_tool` calls it.
        problems: what could not be read.
    """

    root: Path
    project: Project
    tools: tuple[str, ...]
    workflows: list[Workflow]
    hooks: list[Repository]
    declared: Declared
    lock: dict[str, Locked]
    sessions: Sessions
    problems: list[Diagnosis] = field(default_factory=list)


def read_all(root: Path, project: Project, tools: tuple[str, ...]) -> Sources:
    """Read the files; one that cannot be read is a finding and counts as empty."""
    problems: list[Diagnosis] = []

    def read(reader: Callable[..., Found], instead: Found, *more: str) -> Found:
        try:
            return reader(root, *more)
        except ConfigError as error:
            problems.append(located("file-not-read", "error", error.message))
        except OSError as error:
            problems.append(Diagnosis("file-not-read", "error", as_sentence(error)))
        return instead

    workflows = [read(read_workflow, None, name) for name in workflow_files(root)]
    return Sources(
        root,
        project,
        tools,
        [workflow for workflow in workflows if workflow is not None],
        read(read_hooks, []),
        read(read_declared, Declared()),
        read(read_lock, {}),
        read(read_sessions, Sessions()),
        problems,
    )
