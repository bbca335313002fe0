"""The files of a project, and what each of them reads."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.config.reads.model import OpenRead, Read, Reads

if TYPE_CHECKING:
    from handrail.commands import Runner

_SKIPPED = frozenset({"node_modules", "site-packages", "__pycache__", "build", "dist", "venv"})


def scan(root: Path, runner: Runner | None = None) -> Reads:
    """Return what the Python files of the project in ``root`` read; see `is_shipped` for which of them matter."""
    return read_sources({name: _text(root / name) for name in python_files(root, runner)})


def python_files(root: Path, runner: Runner | None = None) -> list[str]:
    """Return the Python files of the project, sorted: those that git tracks or would add, else all that are there."""
    names = _known_to_git(root, runner)
    if names is None:
        names = list(_walked(root))
    return sorted(name for name in set(names) if name.endswith(".py") and (root / name).is_file())


def read_source(text: str, file: str) -> Reads:
    """Return what one text reads."""
    return read_sources({file: text})


def read_sources(texts: Mapping[str, str]) -> Reads:
    """Return what several texts, by file name, read; what one of them imports from another is followed."""
    # Most files never mention an environment: they are not worth a parse, unless somebody's constants are in them.
    from handrail.config.reads.module import Module

    trees: dict[str, ast.Module] = {}
    problems: list[str] = []
    for file, text in texts.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an invalid escape in somebody's string is not our business
                trees[file] = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError) as error:
            line = getattr(error, "lineno", None) or 1
            problems.append(f"{file}:{line}: not read: {getattr(error, 'msg', None) or error}")
    exports: dict[str, dict[str, Any]] = {}
    reads: list[Read] = []
    open_reads: list[OpenRead] = []
    # Twice: a name, a wrapper or a constant may be used above its definition, or in a file that is read earlier.
    for last in (False, True):
        for file, tree in trees.items():
            module = Module(file, exports)
            try:
                module.read(tree)
            except RecursionError:
                if last:
                    problems.append(f"{file}:1: not read: nested too deeply")
                continue
            exports[_module_path(file)] = module.names_of_module()
            if last:
                reads += module.reads
                open_reads += module.open
    order = {file: number for number, file in enumerate(texts)}
    return Reads(
        tuple(sorted(dict.fromkeys(reads), key=lambda read: (order[read.file], read.line))),
        tuple(dict.fromkeys(open_reads)),
        tuple(problems),
    )


def _module_path(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__")


def _known_to_git(root: Path, runner: Runner | None) -> list[str] | None:
    if not any((folder / ".git").exists() for folder in (root, *root.resolve().parents)):
        return None
    from handrail.commands import Runner
    from handrail.errors import HandrailError

    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.py"]
    try:
        result = (runner or Runner()).run(argv, cwd=root, check=False)
    except HandrailError:
        return None
    return [name for name in result.stdout.split("\0") if name] if result.returncode == 0 else None


def _walked(root: Path) -> Iterable[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and name not in _SKIPPED and not Path(folder, name, "pyvenv.cfg").exists()
        ]
        yield from (Path(folder, name).relative_to(root).as_posix() for name in files)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
