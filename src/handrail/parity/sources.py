"""Everything that the rules look at, read once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.diagnosis import Diagnosis
from handrail.errors import ConfigError
from handrail.parity.declared import Declared, read_declared
from handrail.parity.hooks import Repository, read_hooks
from handrail.parity.locked import Locked, read_lock
from handrail.parity.sessions import Sessions, read_sessions
from handrail.parity.workflows import Workflow, read_workflow, workflow_files

if TYPE_CHECKING:
    from handrail.config.schema import Project


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

    def failed(error: ConfigError) -> None:
        place, _, message = error.message.partition(": ")
        file, _, line = place.partition(":")
        problems.append(Diagnosis("file-not-read", "error", message, file, int(line) if line.isdigit() else 0))

    workflows: list[Workflow] = []
    for name in workflow_files(root):
        try:
            workflows.append(read_workflow(root, name))
        except ConfigError as error:
            failed(error)
    hooks: list[Repository] = []
    try:
        hooks = read_hooks(root)
    except ConfigError as error:
        failed(error)
    declared = Declared()
    try:
        declared = read_declared(root)
    except ConfigError as error:
        failed(error)
    sessions = Sessions()
    try:
        sessions = read_sessions(root)
    except ConfigError as error:
        failed(error)
    return Sources(root, project, tools, workflows, hooks, declared, read_lock(root), sessions, problems)
