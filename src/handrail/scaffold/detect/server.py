"""The program that serves the application, out of what the project depends on."""

from __future__ import annotations

import re

from handrail.parity.locked import canonical
from handrail.scaffold.detect.declared import Declared

WSGI = ("gunicorn", "waitress", "granian")
ASGI = ("uvicorn", "hypercorn", "granian", "daphne")


def find_server(declared: Declared, *, is_async: bool, lines: tuple[str, ...] = ()) -> str:
    """Return the first server among the running program's requirements; empty where there is none.

    Args:
        lines: further requirement lines, such as those of a requirements file.
    """
    names = {requirement_name(line) for line in (*declared.dependencies, *lines)}
    return next((server for server in (ASGI if is_async else WSGI) if server in names), "")


def requirement_name(line: str) -> str:
    """Return the normalized name of a requirement line; empty where it has none."""
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", line)
    return canonical(match[1]) if match else ""
