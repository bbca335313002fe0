"""Tasks and options as the rows that the list and the help show."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invoke.collection import Collection

    from handrail.tasks.base import HandrailTask
    from handrail.tasks.options import Option

OWN_GROUP = "project"
# What an option's value names, by the option's name: a shell can complete it.
_VALUES = {"env": "environment", "to": "release", "timeline": "release", "process": "process"}
_TYPES: dict[object, str] = {bool: "flag", int: "integer", float: "number", Path: "path"}
_PLACEHOLDERS: dict[type, str] = {int: "N", float: "NUMBER"}


def grouped(collection: Collection) -> dict[str, list[tuple[str, str]]]:
    """Return group → (name, one line) of every task; the project's own come last, under "project"."""
    groups: dict[str, list[tuple[str, str]]] = {}
    own: list[tuple[str, str]] = []
    for name, aliases in collection.task_names.items():
        task = collection[name]
        rows = groups.setdefault(task.group, []) if getattr(task, "group", "") else own
        rows.append((f"{name} ({', '.join(aliases)})" if aliases else name, _first_line(task)))
    return {**groups, OWN_GROUP: [*groups.get(OWN_GROUP, []), *own]} if own else groups


def usage(name: str, options: Iterable[Option], word: str = "", program: str = "inv") -> str:
    """Return the command line's shape; ``word`` is the option that takes a bare word after the name."""
    options = list(options)
    words = [f"<{option.names[0]}>" for option in options if option.positional]
    words += [f"[{'|'.join(each.accepts.choices) or word}]" for each in options if each.names[0] == word]
    return " ".join([program, name, *words, *(["[options]"] if len(options) > len(words) else [])])


def documentation(task: HandrailTask) -> str:
    """Return the docstring of the task's function."""
    return inspect.getdoc(task.body) or ""


def option_rows(options: Iterable[Option]) -> list[tuple[str, str]]:
    """Return flags and meaning of each option."""
    return [(_flags(option), _meaning(option)) for option in options]


def catalogue(collection: Collection) -> dict[str, Any]:
    """Return the document of ``inv tasks --json``: every task with its options, defaults, help and example."""
    tasks = []
    for name, aliases in collection.task_names.items():
        task = collection[name]
        tasks.append(
            {
                "name": name,
                "aliases": list(aliases),
                "group": getattr(task, "group", "") or OWN_GROUP,
                "help": _first_line(task),
                "documentation": inspect.getdoc(task.body) or "",
                "example": getattr(task, "example", ""),
                "options": [_described(argument, getattr(task, "word", "")) for argument in task.get_arguments()],
            }
        )
    return {"command": "tasks", "tasks": tasks}


def _described(argument: Any, bare: str) -> dict[str, Any]:
    """Return one option as data, of a task of ours or of a plain Invoke task; ``bare``: see `HandrailTask.word`."""
    accepts = getattr(argument, "accepts", None)
    kind = accepts.type if accepts else argument.kind
    names = [name.replace("_", "-") for name in argument.names]
    flags = [f"--{name}" if len(name) > 1 else f"-{name}" for name in names]
    if kind is bool and argument.default is True:
        flags.append(f"--no-{names[0]}")
    text = _TYPES.get(kind, "text")
    default = argument.default
    return {
        "flags": flags,
        "type": text,
        "choices": list(accepts.choices) if accepts else [],
        "values": _VALUES.get(names[0], "path" if text == "path" else "text"),
        "default": default if default is None or isinstance(default, (bool, int, float, str, list)) else str(default),
        "required": argument.required if accepts else argument.positional and default is None,
        "repeatable": accepts.many if accepts else kind is list,
        "positional": bool(argument.positional or (accepts and accepts.choices and names[0] == bare)),
        "help": argument.help or "",
    }


def _first_line(task: Any) -> str:
    if task.__doc__ == type(task).__doc__:
        return ""  # a task without one shows its class's
    return (task.__doc__ or "").strip().partition("\n")[0]


def _flags(option: Option) -> str:
    name = option.names[0]
    short = f"-{option.names[1]}, " if len(option.names) > 1 else "    "
    if option.accepts.type is bool:
        return f"{short}--[no-]{name}" if option.default is True else f"{short}--{name}"
    value = "|".join(option.accepts.choices) or _PLACEHOLDERS.get(option.accepts.type, "TEXT")
    return f"{short}--{name} {value}"


def _meaning(option: Option) -> str:
    notes = []
    if option.required:
        notes.append("required")
    elif option.default and option.default is not True:
        notes.append(f"default {option.default}")
    if option.accepts.many:
        notes.append("may be repeated")
    return " ".join(filter(None, (option.help, f"({', '.join(notes)})" if notes else "")))
