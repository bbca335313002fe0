"""The project's Python files as syntax trees, each read once."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

_SKIPPED = {
    "__pycache__", "build", "dist", "env", "node_modules", "site-packages", "venv", "vendor", "virtualenv", "_build",
}  # fmt: skip
_NEVER_PROGRAM = {"test", "tests", "docs", "doc", "benchmarks"}
# Unless it is a package: Django's own examples call their site so.
_SELDOM_PROGRAM = {"testing", "examples", "example", "samples", "demo", "scripts"}
_BESIDE_FILES = {
    "setup.py",
    "conftest.py",
    "noxfile.py",
    "tasks.py",
    "fabfile.py",
    "ez_setup.py",
    "manage.py",
}
LARGEST = 1 << 20
"""Bytes; a larger file was made by a program."""
MOST = 4000
"""Files that are looked at."""


@dataclass
class Sources:
    """The Python files below ``root``, as posix paths relative to it, shallow ones first."""

    root: Path
    _trees: dict[str, ast.Module | None] = field(default_factory=dict)

    @cached_property
    def files(self) -> list[str]:
        """Every Python file but those of environments, builds and caches."""
        found = sorted(self._walk(), key=lambda name: (name.count("/"), name))
        return found[:MOST]

    @cached_property
    def program(self) -> list[str]:
        """The files that can belong to the running program: no tests, documentation, examples or build scripts."""
        return [name for name in self.files if not self.is_beside(name)]

    def is_beside(self, name: str) -> bool:
        """Return whether a file stands beside the program: a test, an example, documentation, a build script."""
        path = PurePosixPath(name)
        return path.name in _BESIDE_FILES or is_test(name) or self.is_folder_beside(str(path.parent))

    def is_folder_beside(self, folder: str) -> bool:
        """Return whether all of a folder stands beside the program."""
        path = PurePosixPath(folder)
        for place in (path, *path.parents):
            part = place.name.lower()
            if part in _NEVER_PROGRAM:
                return True
            if part in _SELDOM_PROGRAM and not (self.root / place / "__init__.py").is_file():
                return True
        return False

    def tree(self, name: str) -> ast.Module | None:
        """Return the syntax tree of a file; None where this Python cannot read it."""
        if name not in self._trees:
            self._trees[name] = self._parse(name)
        return self._trees[name]

    def text(self, name: str) -> str:
        """Return the text of any file below the root; empty where it cannot be read."""
        try:
            return (self.root / name).read_text("utf-8", "replace")
        except OSError:
            return ""

    def _parse(self, name: str) -> ast.Module | None:
        try:
            with warnings.catch_warnings():
                # Somebody else's invalid escape sequence is nothing to tell our user about.
                warnings.simplefilter("ignore")
                return ast.parse((self.root / name).read_bytes(), name)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            return None

    def _walk(self) -> Iterator[str]:
        for folder, folders, files in os.walk(self.root):
            here = Path(folder)
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".") and name not in _SKIPPED and not (here / name / "pyvenv.cfg").exists()
            )
            for name in files:
                path = here / name
                if name.endswith(".py") and not path.is_symlink() and path.stat().st_size <= LARGEST:
                    yield path.relative_to(self.root).as_posix()


def is_test(name: str) -> bool:
    """Return whether a file is called as tests are."""
    path = PurePosixPath(name)
    return path.name.startswith("test_") or path.stem.endswith("_test") or path.name == "tests.py"


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for a name or attribute; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def literal(node: ast.AST | None) -> object:
    """Return the value of a plain expression; None where it is none."""
    if node is None:
        return None
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
