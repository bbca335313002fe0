"""What is locked: the version of each package by the lock file that the project has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_PIN = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*===?\s*([A-Za-z0-9.!+_-]+)")
_NAME = re.compile(r'name = "([^"]+)"')
_VERSION = re.compile(r'version = "([^"]+)"')


@dataclass(frozen=True)
class Locked:
    """A version and where it stands."""

    version: str
    file: str
    line: int


def canonical(name: str) -> str:
    """Return a distribution's name in the form in which two of them compare (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(root: Path) -> dict[str, Locked]:
    """Return what the first of uv.lock, poetry.lock, pdm.lock, pylock.toml and pinned requirements files locks."""
    for name in ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"):
        if (root / name).is_file():
            return _packages(name, (root / name).read_text("utf-8", "replace"))
    found: dict[str, Locked] = {}
    for path in sorted([*root.glob("requirements*.txt"), *root.glob("requirements/*.txt")]):
        if not path.is_file():
            continue
        name = path.relative_to(root).as_posix()
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            if match := _PIN.match(line):
                found.setdefault(canonical(match[1]), Locked(match[2], name, number))
    return found


def _packages(file: str, text: str) -> dict[str, Locked]:
    # A line at a time instead of tomllib: a lock has ten thousand lines, and the place of each version is wanted.
    found: dict[str, Locked] = {}
    name, at_top = "", False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("["):
            at_top, name = line.strip() in ("[[package]]", "[[packages]]"), ""
        elif at_top and (match := _NAME.match(line)):
            name = match[1]
        elif at_top and name and (match := _VERSION.match(line)):
            found.setdefault(canonical(name), Locked(match[1], file, number))
    return found
