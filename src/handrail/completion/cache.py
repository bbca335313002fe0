"""Writing what `answer` reads, while the collection is loaded anyway."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import handrail
from handrail.completion.answer import FORMAT, cache_path, stamp
from handrail.completion.refresh import declared_words, line_of, write


def write_cache(root: Path, tasks: Iterable[Mapping[str, Any]]) -> Path:
    """Write the cache of the tasks.py in ``root``; return its path.

    Args:
        tasks: as in the document of ``inv tasks --json``.
    """
    pyproject = next((file for folder in (root, *root.parents) if (file := folder / "pyproject.toml").is_file()), None)
    words = (declared_words(str(pyproject)) or []) if pyproject else []
    lines = [
        f"{FORMAT}\t{root}\t{sys.prefix}",
        *(f"file\t{stamp(file)}\t{file}" for file in sources(root)),
        *([f"pyproject\t{stamp(str(pyproject))}\t{pyproject}"] if pyproject else []),
        *words,
    ]
    for task in tasks:
        for name in (task["name"], *task["aliases"]):
            lines.append(line_of("task", name, task["help"]))
            lines += [_option(option) for option in task["options"]]
    path = cache_path(str(root))
    write(path, lines)
    return Path(path)


def sources(root: Path) -> list[str]:
    """Return the files that the loaded tasks were made from: the project's own modules, and Handrail's tasks."""
    ours = str(Path(handrail.__file__).parent / "tasks")
    environment = str(Path(sys.prefix))
    found = []
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None) or ""
        of_project = file.startswith(f"{root}{os.sep}") and not file.startswith(f"{environment}{os.sep}")
        if file.endswith(".py") and (file.startswith(ours) or (of_project and not _is_ours(file))):
            found.append(file)
    return sorted({*found, str(Path(handrail.__file__))})


def remember_releases(root: Path, environment: str, rows: Iterable[tuple[str, str]]) -> None:
    """Keep the ids of releases (newest first, with one line each), so that Tab can offer them without asking a host."""
    from handrail.build.cache import cache_folder

    try:
        folder = cache_folder(root) / "releases"
    except OSError:
        return
    write(str(folder / environment), [line_of(name, text) for name, text in rows])


def _is_ours(file: str) -> bool:
    return file.startswith(str(Path(handrail.__file__).parent) + os.sep)


def _option(option: Mapping[str, Any]) -> str:
    kind = "|".join(option["choices"]) or option["values"]
    if option["type"] == "flag":
        kind = "flag"
    marks = "".join(
        letter
        for letter, key in (("r", "required"), ("m", "repeatable"), ("p", "positional"))
        if option[key]
    )  # fmt: skip
    return line_of("option", ",".join(option["flags"]), kind, marks, option["help"])
