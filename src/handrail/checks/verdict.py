"""The answer of one check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["passed", "failed", "not run"]


@dataclass(frozen=True)
class Finding:
    """One complaint about one place in the source; ``line`` 0 means the whole file."""

    message: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class Verdict:
    """What a check said.

    ``not run`` is never a pass: it says that this machine could not make the check.
    """

    name: str
    state: State
    seconds: float = 0.0
    command: str = ""
    """The command that gives the same answer again, as typed."""
    remark: str = ""
    """One short sentence for the verdict table."""
    lines: tuple[str, ...] = ()
    """What the tool wrote, when it is worth reading and was not shown while it ran."""
    findings: tuple[Finding, ...] = ()

    @property
    def is_green(self) -> bool:
        return self.state == "passed"
