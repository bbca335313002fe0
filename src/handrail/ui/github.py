"""GitHub Actions: workflow commands, and keeping other programs' output from giving any.

The runner takes a line that starts with ``::name`` (or contains ``##[name``) as a command, whoever printed it, so
a line from a host could close a group, hide errors or stop the log. Such lines are changed just enough.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path


def is_active(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process is a step of a GitHub Actions job."""
    return environ.get("GITHUB_ACTIONS") == "true"


def annotation(level: str, message: str, *, title: str = "", file: str = "", line: int = 0) -> str:
    """Return the command that attaches ``message`` to a source line; ``level``: error, warning or notice."""
    if level not in ("error", "warning", "notice"):
        raise ValueError(f"annotation level {level!r}, expected error, warning or notice")
    properties = {"file": file, "line": str(line) if line > 0 else "", "title": title}
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{level}{' ' if shown else ''}{shown}::{_data(message)}"


def group(title: str) -> str:
    """Return the command that opens a log group; groups do not nest."""
    return f"::group::{_data(title)}"


END_GROUP = "::endgroup::"


def harmless(text: str) -> str:
    """Return ``text`` with no line that the runner would take as a command."""
    if "::" not in text and "##[" not in text:
        return text
    lines = []
    for line in text.replace("##[", "## [").split("\n"):
        blank = len(line) - len(line.lstrip())
        lines.append(f"{line[:blank]}: :{line[blank + 2 :]}" if line.startswith("::", blank) else line)
    return "\n".join(lines)


def append_summary(markdown: str, environ: Mapping[str, str] = os.environ) -> None:
    """Append ``markdown`` to the job's page; nothing where there is none, or where it cannot be written."""
    path = environ.get("GITHUB_STEP_SUMMARY")
    if path:
        # All of it is in the log, too; a result must not be lost for the page's sake.
        with contextlib.suppress(OSError), Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{markdown.rstrip()}\n\n")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
