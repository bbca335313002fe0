"""What git must not take, as a block at the end of .gitignore."""

from __future__ import annotations

FILE = ".gitignore"
# Python's usual template takes env/ for a virtual environment.
_HIDES_ENV = {"env", "env/", "/env", "/env/", "ENV/", "*.env"}


def ignored_block(text: str) -> str:
    """Return the block for a .gitignore that has ``text`` beside it."""
    known = {line.strip() for line in text.splitlines()}
    lines = ["!/env/", "!/env/*.env"] if known & _HIDES_ENV else []
    lines += ["/env/*.secrets.env", "/.env", "/.handrail/", "/.nox/", "/.venv/", "/dist/"]
    lines += [line for line in ("__pycache__/", "*.egg-info/") if line not in known]
    return "".join(f"{line}\n" for line in lines)
