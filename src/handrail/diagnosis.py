"""One thing that is not as it should be: what, where, how bad, and how to mend it.

What looks at a machine, a project, its workflows or its hosts gives these; `inv doctor` and `inv lint` show them.
A repair is data, so that it can be shown before it is carried out, and only what cannot lose anything has one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "notice"]
_PLACE = re.compile(r"([^:]+\.[a-z]+):(\d+)\b(?:: )?")


@dataclass(frozen=True)
class Replacement:
    """Put ``new`` where ``old`` stands, once, on one line of a file of the project."""

    file: str
    line: int
    old: str
    new: str

    @property
    def sentence(self) -> str:
        return f"{self.file}:{self.line}: {self.old} becomes {self.new}"


@dataclass(frozen=True)
class Addition:
    """Add a line at the end of a file of the project, which is made where it is not there."""

    file: str
    text: str

    @property
    def sentence(self) -> str:
        return f"{self.file}: gets the line {self.text}"


@dataclass(frozen=True)
class ModeChange:
    """Give a file of the project other permissions."""

    file: str
    mode: int

    @property
    def sentence(self) -> str:
        return f"{self.file}: gets the mode {self.mode:04o}"


@dataclass(frozen=True)
class Command:
    """Run a command in the project's folder."""

    argv: tuple[str, ...]

    @property
    def sentence(self) -> str:
        import shlex

        return f"runs {shlex.join(self.argv)}"


Repair = Replacement | Addition | ModeChange | Command


@dataclass(frozen=True)
class Diagnosis:
    """One finding.

    Attributes:
        code: stable name of the kind of finding, for ``# handrail: ignore[code]`` and for scripts.
        level: an ``error`` makes the answer red, a ``warning`` does not, a ``notice`` is only worth knowing.
        message: one sentence; holds no secret.
        file: relative to the project; ``line`` counts from 1, 0 means the whole file.
        host: where it was found, for what is no file.
        mend: what to do, as a sentence or a command.
        repair: what ``--fix`` does about it.
    """

    code: str
    level: Level
    message: str
    file: str = ""
    line: int = 0
    host: str = ""
    mend: str = ""
    repair: Repair | None = None

    @property
    def where(self) -> str:
        if self.file:
            return f"{self.file}:{self.line}" if self.line else self.file
        return self.host

    def document(self) -> dict[str, object]:
        """Return it for ``--json``."""
        facts = {name: getattr(self, name) for name in ("code", "level", "message", "file", "line", "host", "mend")}
        return {**facts, "repair": self.repair.sentence if self.repair else ""}


def located(code: str, level: Level, message: str, mend: str = "") -> Diagnosis:
    """Return the finding that a message of the form ``FILE:LINE: …`` tells; one without a place keeps its words."""
    file, line, rest = place_in(message)
    return Diagnosis(code, level, rest, file, line, mend=mend)


def place_in(text: str) -> tuple[str, int, str]:
    """Return the ``FILE:LINE`` with which a text begins, and what follows; ("", 0, ``text``) where it does not."""
    match = _PLACE.match(text)
    return (match[1], int(match[2]), text[match.end() :]) if match else ("", 0, text)
