"""The whole examination: each part in order, shown as it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.diagnosis import Diagnosis
from handrail.doctor.report import show_part
from handrail.errors import HandrailError, as_sentence

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project
    from handrail.ui import Printer


@dataclass
class Examination:
    """What each part found, by its name."""

    parts: dict[str, list[Diagnosis]] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    """Raw texts that the project's values hold: for masking, before anything is shown."""

    @property
    def findings(self) -> list[Diagnosis]:
        return [finding for findings in self.parts.values() for finding in findings]

    def show(self, printer: Printer) -> None:
        for name, findings in self.parts.items():
            show_part(name, findings, self.remarks[name], printer)


def examine(root: Path, project: Project, runner: Runner, tasks: Collection[str] = ()) -> Examination:
    """Look at this machine, the project, and laptop against CI, which may call each of ``tasks``."""
    from handrail.checks.drift import check_tools
    from handrail.doctor.machine import look_at_machine
    from handrail.doctor.project import look_at_project
    from handrail.parity.look import look

    whole = Examination()
    parts: list[tuple[str, Callable[[], tuple[list[Diagnosis], str]]]] = [
        ("machine", lambda: look_at_machine(root, project, runner)),
        ("project", lambda: (look_at_project(root, project, runner), "")),
        ("contract", lambda: (_contract(root, project, runner, whole), "")),
        ("parity", lambda: (look(root, project, check_tools(root, project), tasks=tasks, machine=True), "")),
    ]
    for name, part in parts:
        try:
            whole.parts[name], whole.remarks[name] = part()
        except HandrailError as error:
            # One part that cannot be looked at must not hide the others.
            whole.parts[name], whole.remarks[name] = [_not_examined(error.message, error.next_step)], ""
        except OSError as error:
            whole.parts[name], whole.remarks[name] = [_not_examined(as_sentence(error), "")], ""
    return whole


def _contract(root: Path, project: Project, runner: Runner, whole: Examination) -> list[Diagnosis]:
    from handrail.config.audit import audit

    found = audit(root, project, os.environ, runner)
    whole.secrets += found.secrets
    return found.findings


def _not_examined(why: str, mend: str) -> Diagnosis:
    return Diagnosis("not-examined", "error", why, mend=mend)
