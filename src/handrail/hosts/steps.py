"""A step of a set-up as data: what is there, what would be done about it, and the actions that do it.

An action is a JSON-able dict that `handrail.hosts.program.doing` carries out as root, or as the ``user`` that it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Action = dict[str, Any]
Facts = Mapping[str, Any]
"""What `handrail.hosts.program.looking.look` returns."""


@dataclass(frozen=True)
class Step:
    """One step on one host.

    Attributes:
        name: one word, such as ``user``.
        there: what is there, where nothing is to be done.
        todo: what would be done, as a sentence; empty: nothing.
        problem: why it cannot be done, as a sentence; a host with one is not touched.
        next_step: what a person does about the problem.
        actions: in order.
        looks_again: whether later steps depend on what this one brings, so that they are planned anew after it.
    """

    name: str
    there: str = ""
    todo: str = ""
    problem: str = ""
    next_step: str = ""
    actions: Sequence[Action] = field(default_factory=list)
    looks_again: bool = False


def run(
    *argv: str, user: str = "", timeout: float = 60.0, may_fail: bool = False, env: Mapping[str, str] | None = None
) -> Action:
    """Run a command; ``timeout`` in seconds."""
    action: Action = {"kind": "run", "argv": list(argv), "user": user, "timeout": timeout, "env": dict(env or {})}
    return {**action, "may_fail": True} if may_fail else action


def folder(path: str, mode: int = 0o755, *, owner: str = "", user: str = "") -> Action:
    """Make a folder and those above it, as ``user``, and give it to ``owner``."""
    return {"kind": "folder", "path": path, "mode": mode, "owner": owner, "user": user}


def write(path: str, content: str, mode: int = 0o644, *, user: str = "", check: Sequence[str] = ()) -> Action:
    """Write a file, once ``check`` has accepted it; ``{}`` in its words stands for the file to be checked."""
    return {"kind": "write", "path": path, "content": content, "mode": mode, "user": user, "check": list(check)}


def unlink(path: str) -> Action:
    """Remove a file or a link."""
    return {"kind": "unlink", "path": path}


def shown(action: Action) -> str:
    """Return an action as a person would type it; for the plan and the JSON document."""
    import shlex

    who = f"sudo -u {action['user']} " if action.get("user") else ""
    if action["kind"] == "run":
        return who + shlex.join(action["argv"])
    if action["kind"] == "folder":
        owner = f" -o {action['owner']}" if action["owner"] else ""
        return f"{who}install -d -m {action['mode']:04o}{owner} {shlex.quote(action['path'])}"
    if action["kind"] == "write":
        return f"{who}write {action['path']} (mode {action['mode']:04o})"
    return f"rm {shlex.quote(action['path'])}"
