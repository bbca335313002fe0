"""The list of all tasks, in the order in which `inv --list` shows their groups."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from invoke.collection import Collection
from invoke.tasks import Task

from handrail.tasks.base import HandrailTask
from handrail.tasks.program import adopt_running_program

# Module, and the sub-collection that its tasks form ("" for none). The order is that of the groups in the list.
MODULES: dict[str, str] = {
    "init": "",
    "setup": "",
    "completion": "",
    "checks": "",
    "doctor": "",
    "fingerprint": "",
    "ci": "",
    "build": "",
    "host": "host",
    "deploy": "",
    "job": "job",
    "maintenance": "",
    "db": "db",
    "health": "",
    "env": "",
    "sandbox": "sandbox",
}


def collection(own: Mapping[str, Any] | None = None) -> Collection:
    """Return all tasks, and those found among the values of ``own``; see `handrail.collection`."""
    root = Collection()
    for module, prefix in MODULES.items():
        _add(root, import_module(f"handrail.tasks.{module}"), prefix)
    for name, value in dict(own or {}).items():
        if isinstance(value, Task):
            _override(root, value)
        elif isinstance(value, Collection) and name not in ("ns", "namespace"):
            root.add_collection(value, value.name or name)
    adopt_running_program()
    return root


def _add(root: Collection, module: Any, prefix: str) -> None:
    target = root
    if prefix:
        target = Collection(prefix)
        target.__doc__ = module.__doc__
        root.add_collection(target)
    for value in vars(module).values():
        # A module may have imported another one's task to run it first; that task has its own home.
        if isinstance(value, HandrailTask) and value.__module__ == module.__name__:
            target.add_task(value)
            if prefix:
                value.path = f"{prefix}.{value.name.replace('_', '-')}"


def _override(root: Collection, task: Task[Any]) -> None:
    """Add a project's own ``task``; it wins over Handrail's of the same name."""
    name = root.transform(task.name)
    if name in root.collections:
        root.collections.pop(name)
    root.add_task(task)
