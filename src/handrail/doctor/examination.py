"""The whole examination: each part in order, shown as it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.doctor.report import show_part

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project
    from handrail.diagnosis import Diagnosis
    from handrail.ui import Printer


@dataclass
class Examination:
    """What each part found, by its name."""

    parts: dict[str, list[Diagnosis]] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)

    @property
    def findings(self) -> list[Diagnosis]:
        return [finding for findings in self.parts.values() for finding in findings]

    def show(self, printer: Printer) -> None:
        for name, findings in self.parts.items():
            show_part(name, findings, self.remarks[name], printer)


def examine(root: Path, project: Project, runner: Runner) -> Examination:
    """Look at this machine, the project, and laptop against CI."""
    from handrail.checks.drift import check_tools
    from handrail.doctor.machine import look_at_machine
    from handrail.doctor.project import look_at_project
    from handrail.parity.look import look

    parts: list[tuple[str, Callable[[], tuple[list[Diagnosis], str]]]] = [
        ("machine", lambda: look_at_machine(root, project, runner)),
        ("project", lambda: (look_at_project(root, project, runner), "")),
        ("contract", lambda: (_contract(root, project, runner), "")),
        ("parity", lambda: (look(root, project, check_tools(root, project), machine=True), "")),
    ]
    whole = Examination()
    for name, part in parts:
        whole.parts[name], whole.remarks[name] = part()
    return whole


def _contract(root: Path, project: Project, runner: Runner) -> list[Diagnosis]:
    import os

    from handrail.config.audit import audit
    from handrail.diagnosis import Diagnosis
    from handrail.errors import ConfigError

    try:
        return audit(root, project, os.environ, runner).findings
    except ConfigError as error:
        return [Diagnosis("env-file", "error", error.message, mend=error.next_step)]
