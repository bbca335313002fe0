"""What a press of Tab does when something has changed since the last one.

Apart from `answer`, because each import here costs more than all of an ordinary answer.
"""

from __future__ import annotations

import os
import subprocess
import sys

from handrail.completion.answer import FORMAT, TASKS, Cache, read_cache, stamp

_SECONDS = 10.0


def run_tasks(root: str) -> None:
    """Run ``inv tasks``, which writes the cache; whatever it says, and whether it can at all."""
    argv = [sys.executable, "-m", "invoke", "tasks", "--json"]
    try:
        subprocess.run(
            argv, cwd=root, timeout=_SECONDS, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        pass  # the next line of the shell will say what is wrong; a press of Tab must not


def keep(path: str, root: str, old: Cache | None) -> None:
    """Write ``old`` with today's stamps, so that a tasks.py that cannot be loaded is not tried at every key press."""
    if old is None:
        files = [os.path.join(root, name) for name in TASKS]
        lines = [f"file\t{stamp(file)}\t{file}" for file in files if os.path.isfile(file)]
        write(path, [f"{FORMAT}\t{root}\t{sys.prefix}", *lines])
        return
    write(path, [_restamped(line) for line in old.lines])


def with_new_words(path: str, cache: Cache) -> Cache:
    """Return ``cache`` with the environments and processes that pyproject.toml declares now, and keep it."""
    words = declared_words(cache.pyproject)
    kept = [line for line in cache.lines if words is None or line.split("\t")[0] not in cache.words]
    lines = [_restamped(line) if line.startswith("pyproject\t") else line for line in kept]
    write(path, [lines[0], *(words or []), *lines[1:]])
    return read_cache(path, cache.root) or cache


def declared_words(pyproject: str) -> list[str] | None:
    """Return the cache's lines for what a pyproject.toml declares; None while it cannot be read."""
    from pathlib import Path

    from handrail.config.load import parse_toml

    try:
        tool = parse_toml(Path(pyproject).read_text(encoding="utf-8"))["tool"]["handrail"]
        environments = {name: table.get("strategy", "restart") for name, table in tool.get("environments", {}).items()}
        processes = {name: table.get("command", "") for name, table in tool.get("processes", {}).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return [
        *(line_of("environment", name, str(strategy)) for name, strategy in environments.items()),
        *(line_of("process", name, str(command)) for name, command in processes.items()),
    ]


def line_of(*fields: str) -> str:
    """Return one line of the cache; what would end a field or act on a terminal is left out."""
    return "\t".join("".join(c if c.isprintable() else " " for c in field) for field in fields)


def write(path: str, lines: list[str]) -> None:
    """Write the cache in one step. A cache that cannot be written is no error: the next press asks again."""
    draft = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(draft, "w", encoding="utf-8") as file:
            file.write("\n".join(line for line in lines if line) + "\n")
        os.replace(draft, path)
    except OSError:
        pass


def _restamped(line: str) -> str:
    kind, *fields = line.split("\t")
    return "\t".join((kind, stamp(fields[1]), fields[1])) if kind in ("file", "pyproject") else line
