"""What a command line is: a task, a part of the bootstrap, plumbing of the runner, or something of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from handrail.parity.locked import canonical

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_MANAGERS = re.compile(r"(?:poetry|pdm|hatch|pipenv) run|python[0-9.]* -m")
_TASKS = frozenset({"inv", "invoke", "handrail", "nox"})
_PIPS = frozenset({"pip", "pip3", "pipx"})
# What somebody installs so that there is an inv to call.
_FIRST_TOOLS = frozenset({"uv", "pip", "handrail", "invoke", "nox", "pipx", "virtualenv"})
_PLUMBING = frozenset({":", "true", "cd", "set", "export", "mkdir", "pwd"})
_RUNNERS_FILES = re.compile(
    r">>?\s*\"?\$\{?GITHUB_(?:PATH|ENV|OUTPUT|STEP_SUMMARY)\b|^\$\{?GITHUB_(?:PATH|ENV|OUTPUT|STEP_SUMMARY)\b"
)


def bare(words: Sequence[str]) -> list[str]:
    """Return the command without what only starts it: assignments, ``env``, ``sudo``, ``uv run``, ``python -m``."""
    left = list(words)
    while left:
        if _ASSIGNMENT.match(left[0]):
            left.pop(0)
        elif program(left) in ("env", "sudo", "time", "exec", "command"):
            left = _after_options(left[1:], ())
        elif program(left) == "uv" and left[1:2] == ["run"]:
            left = _after_options(
                left[2:], ("--group", "--extra", "--python", "-p", "--with", "--package", "--project")
            )
        elif program(left) == "uv" and left[1:3] == ["tool", "run"]:
            left = _after_options(left[3:], ("--from", "--with", "--python", "-p"))
        elif program(left) == "uvx" or (program(left) == "pipx" and left[1:2] == ["run"]):
            skip = 1 if program(left) == "uvx" else 2
            left = _after_options(left[skip:], ("--from", "--with", "--python", "-p", "--spec"))
        elif _MANAGERS.fullmatch(" ".join([program(left), *left[1:2]])):
            left = left[2:]
        else:
            break
    return left


def program(words: Sequence[str]) -> str:
    """Return the name of the program that is called, without folder and version: ``.venv/bin/ruff``, ``ruff@0.9``."""
    return re.split(r"@|==", PurePosixPath(words[0]).name)[0] if words else ""


def is_task(words: Sequence[str]) -> bool:
    """Whether a command calls a task, or a Nox session."""
    return program(bare(words)) in _TASKS


def tasks_in(words: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return which of the tasks ``known`` a call of inv names; none for another command."""
    left = bare(words)
    if program(left) not in ("inv", "invoke", "handrail"):
        return []
    said = left[1 : left.index("--")] if "--" in left else left[1:]
    return [word for word in said if word in known]


def is_bootstrap(words: Sequence[str]) -> bool:
    """Whether a command only makes the environment in which tasks run, or hands something to the runner."""
    left = bare(words)
    name = program(left)
    if not left or name in _PLUMBING or _RUNNERS_FILES.search(" ".join(words)):
        return True
    if left[0] in (".", "source"):
        return True
    if name in ("bootstrap", "bootstrap.sh"):
        return True
    if name == "uv":
        return left[1:2] in (["sync"], ["venv"], ["python"], ["self"]) or (
            left[1:3] in (["tool", "install"], ["pip", "install"]) and _are_first(left[3:])
        )
    if name in _PIPS and left[1:2] in (["install"], ["ensurepath"]):
        return _are_first(left[2:])
    if name in ("curl", "wget"):
        return "astral.sh/uv" in " ".join(left)
    # What the line before was piped into.
    return left in (["sh"], ["bash"]) or left[:2] in (["sh", "-s"], ["bash", "-s"])


def check_tool(words: Sequence[str]) -> str:
    """Return the tool of a command as checks are compared: ``ruff check``, ``ruff format``, else its program."""
    left = bare(words)
    name = program(left)
    if name == "ruff":
        return f"ruff {'format' if 'format' in left[1:] else 'check'}"
    return "lint-imports" if name == "importlinter" else name


def _after_options(words: list[str], valued: Sequence[str]) -> list[str]:
    while words and words[0].startswith("-"):
        words = words[2 if words[0] in valued else 1 :]
    return words


def _are_first(words: Sequence[str]) -> bool:
    names = [canonical(re.split(r"[\[=<>!~@]", word)[0]) for word in words if not word.startswith("-")]
    return bool(names) and all(name in _FIRST_TOOLS for name in names)
