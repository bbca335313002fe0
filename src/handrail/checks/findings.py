"""From a tool's text output to places in the source, so that CI can show them beside the line.

Understood: the one-line form ``file:line[:column]: message`` (ruff, mypy) and the arrow ``--> file:line:column``
below a title (zizmor). Anything else stays text and loses nothing.
"""

from __future__ import annotations

import re

from handrail.checks.verdict import Finding

_ONE_LINE = re.compile(r"^(?P<file>[^\s:][^:\n]*):(?P<line>\d+)(?::\d+)?: (?:error: )?(?P<message>.+)$")
_ARROW = re.compile(r"^\s*--> (?P<file>[^:\n]+):(?P<line>\d+)(?::\d+)?$")
_TITLE = re.compile(r"^(?:error|warning|help|info)\S*: ")
_NOTE = re.compile(r"^note: ")


def parse_findings(lines: list[str] | tuple[str, ...]) -> tuple[Finding, ...]:
    """Return the places that ``lines`` complain about, in their order."""
    found: list[Finding] = []
    title = ""
    for line in lines:
        if match := _ONE_LINE.match(line):
            if not _NOTE.match(match["message"]):
                found.append(Finding(match["message"], match["file"], int(match["line"])))
        elif match := _ARROW.match(line):
            found.append(Finding(title or "finding", match["file"], int(match["line"])))
        elif _TITLE.match(line):
            title = line
    return tuple(found)
