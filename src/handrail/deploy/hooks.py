"""Hooks: a project's own commands and tasks around the steps of a deploy, on the machine that deploys.

A hook is a command line without shell, or ``inv:<task> [arguments]`` for one of the project's Invoke tasks,
which runs with the interpreter that runs this deploy. It is told the facts as environment variables, never
as text inside its command line, so that nothing in a branch name or a host can become part of a command.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.errors import ConfigError, HandrailError, TaskFailedError

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.ui import Printer

ON_FAILURE = "on_failure"
_PREFIX = "HANDRAIL_"


def run_hooks(
    commands: Sequence[str],
    when: str,
    facts: Mapping[str, str],
    root: Path,
    runner: Runner,
    printer: Printer,
) -> None:
    """Run the hooks of one moment in order, in ``root``; the first that fails ends it.

    Args:
        when: the name in ``[tool.handrail.hooks]``, such as ``before_upload``.
        facts: values by name, with or without ``HANDRAIL_``: ``{"env": "staging"}`` becomes ``HANDRAIL_ENV``.

    Raises:
        ConfigError: a hook cannot be read; nothing of this moment was run.
        TaskFailedError: a hook failed; its step is ``hook <when>``. Not raised for ``on_failure``: those
            hooks are all tried, and a failure is a warning, because it must not hide the one being reported.
    """
    argvs = [hook_argv(command, when) for command in commands]
    if not argvs:
        return
    # A Python hook that writes to a pipe would hold its lines back until it ends.
    env = {"PYTHONUNBUFFERED": "1", **os.environ, **facts_as_environment(facts)}
    for command, argv in zip(commands, argvs, strict=True):
        printer.command(command)
        try:
            runner.run(argv, cwd=root, env=env, stream=printer.output)
        except HandrailError as error:
            if when == ON_FAILURE:
                printer.warn(f"the {when} hook {command!r} failed: {error.message}")
                continue
            raise TaskFailedError(
                f"the {when} hook {command!r} failed: {error.message}",
                step=f"hook {when}",
                command=error.command or command,
                returncode=error.returncode,
                lines=error.lines,
                next_step=error.next_step,
            ) from error


def hook_argv(command: str, when: str) -> list[str]:
    """Return the argv of a hook declared for the moment ``when``; ConfigError if it has none."""
    is_task = command.startswith("inv:")
    try:
        words = shlex.split(command.removeprefix("inv:"))
    except ValueError as error:
        where = f"tool.handrail.hooks.{when}"
        raise ConfigError(f"{where}: {str(error).lower()} in {command!r}") from None
    if not words or not words[0]:
        expected = "a task after 'inv:'" if is_task else "a command"
        raise ConfigError(f"tool.handrail.hooks.{when}: expected {expected}, found {command!r}")
    return [sys.executable, "-m", "invoke", *words] if is_task else words


def facts_as_environment(facts: Mapping[str, str]) -> dict[str, str]:
    """Return the facts under their ``HANDRAIL_`` names."""
    return {_PREFIX + name.removeprefix(_PREFIX).upper(): value for name, value in facts.items()}
