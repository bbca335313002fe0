"""What the standard streams can show, and writing to them so that no text makes the program fall over."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import TextIO

# Colours and styles may pass to a terminal; cursor movement, titles, hyperlinks and other control bytes may not.
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC, DCS and the like, up to their end
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def has_terminal(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether ``stream`` is a terminal that can redraw lines; CI logs and ``TERM=dumb`` are not."""
    if environ.get("TERM", "") in ("dumb", "unknown") or environ.get("CI", "").lower() in ("true", "1"):
        return False
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def has_colour(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether ``stream`` is a terminal and https://no-color.org is not asked for."""
    return has_terminal(stream, environ) and not environ.get("NO_COLOR")


def width_of(stream: TextIO, environ: Mapping[str, str] = os.environ) -> int:
    """Return the number of columns: ``COLUMNS``, else the terminal's, else 80."""
    if (columns := environ.get("COLUMNS", "")).isdigit() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (AttributeError, ValueError, OSError):
        return 80


def without_controls(text: str, *, keep_style: bool = False) -> str:
    """Return ``text`` without escape sequences and control characters; newlines and tabs stay."""
    if not keep_style:
        return _CONTROL.sub("", text)
    return _CONTROL.sub(lambda match: match[0] if _STYLE.fullmatch(match[0]) else "", text)


def write_line(stream: TextIO, text: str) -> None:
    """Write ``text`` and a newline, with ``?`` for what the stream's encoding lacks, and flush."""
    try:
        stream.write(f"{text}\n")
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(f"{text}\n".encode(encoding, "replace").decode(encoding))
    stream.flush()


def show(text: str) -> None:
    """Write ``text`` to standard output; a reader that left is no error."""
    try:
        write_line(sys.stdout, text)
    except BrokenPipeError:
        # Python would complain about the same pipe once more when it flushes at exit.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
