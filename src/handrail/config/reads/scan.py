"""The files of a project, and what each of them reads."""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.config.reads.model import Reads

if TYPE_CHECKING:
    from handrail.commands import Runner

_MENTIONS = re.compile(r"environ[bs]?\b|getenvb?\b|\benvvar\b|\bdecouple\b|\bstarlette\.config\b|\bBaseSettings\b")
_SKIPPED = frozenset({"node_modules", "site-packages", "__pycache__", "build", "dist", "venv"})


def scan(root: Path, runner: Runner | None = None) -> Reads:
    """Return what the Python files of the project in ``root`` read; see `is_shipped` for which of them matter."""
    return read_sources({name: _text(root / name) for name in python_files(root, runner)})


def python_files(root: Path, runner: Runner | None = None) -> list[str]:
    """Return the Python files of the project, sorted: those that git tracks or would add, else all that are there."""
    names = known_to_git(root, runner)
    if names is None:
        names = list(_walked(root))
    return sorted(name for name in set(names) if name.endswith(".py") and (root / name).is_file())


def read_source(text: str, file: str) -> Reads:
    """Return what one text reads."""
    return read_sources({file: text})


def read_sources(texts: Mapping[str, str]) -> Reads:
    """Return what several texts, by file name, read; what one of them imports from another is followed."""
    from handrail.config.reads.module import Kind, Module, Source

    problems: list[str] = []
    sources: dict[str, Source] = {}
    exports: dict[str, dict[str, Any]] = {}
    found: dict[str, Module] = {}

    def read(file: str) -> None:
        if file not in sources:
            sources[file] = Source(file, _parsed(file, texts[file], problems))
        module = Module(sources[file], exports)
        try:
            module.read()
        except RecursionError:
            problems.append(f"{file}:1: not read: nested too deeply")
            sources[file] = Source(file, ast.Module([], []))
        exports[_module_path(file)] = module.names_of_module()
        found[file] = module

    # Most files of a project never mention an environment, and a parse of all of them would take seconds.
    todo = {file for file, text in texts.items() if _MENTIONS.search(text)}
    while todo:
        # Twice: a wrapper may be used above its definition, or in a file that is read earlier.
        for file in [*sorted(todo), *sorted(todo)]:
            read(file)
        readers = {name for names in exports.values() for name, value in names.items() if isinstance(value, Kind)}
        imported = {f"/{dotted.replace('.', '/')}" for module in found.values() for dotted in module.constants_wanted()}
        todo = {
            file
            for file, text in texts.items()
            if file not in found
            and (
                ("import" in text and any(name in text for name in readers))
                or f"/{_module_path(file)}".endswith(tuple(imported))
            )
        }
        if not todo:
            # Once more with all that is known now.
            for file in found:
                read(file)
    order = {file: number for number, file in enumerate(texts)}
    reads = dict.fromkeys(read for module in found.values() for read in module.reads)
    return Reads(
        tuple(sorted(reads, key=lambda read: (order[read.file], read.line))),
        tuple(dict.fromkeys(read for module in found.values() for read in module.open)),
        tuple(sorted(dict.fromkeys(problems))),
    )


def _parsed(file: str, text: str, problems: list[str]) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in somebody's string is not our business
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        problems.append(f"{file}:{line}: not read: {getattr(error, 'msg', None) or error}")
        return ast.Module([], [])


def _module_path(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__")


def known_to_git(root: Path, runner: Runner | None = None) -> list[str] | None:
    """Return the files that git tracks or would add; None where there is no repository, or no git."""
    if not any((folder / ".git").exists() for folder in (root, *root.resolve().parents)):
        return None
    from handrail.commands import Runner
    from handrail.errors import HandrailError

    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
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
