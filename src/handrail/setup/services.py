"""Development services and database, where the project declares them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.config.envfile import read_entries
from handrail.config.load import place
from handrail.errors import ConfigError
from handrail.setup.environment import environment_place

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project


def compose_argv(compose_file: str) -> list[str]:
    """Return the command that starts the services and waits until they are healthy."""
    return ["docker", "compose", "--file", compose_file, "up", "--detach", "--wait", "--quiet-pull"]


def start_services(root: Path, project: Project, runner: Runner, show: Callable[[str], None]) -> str:
    """Start the declared services; return what to say about it.

    Raises:
        ConfigError: the compose file is not there.
        TaskFailedError: docker refused, or a service did not become healthy.
    """
    file = project.setup.compose_file
    if not (root / file).is_file():
        raise ConfigError(f"{place(root, 'setup', 'compose_file')}: {file!r} does not exist")
    runner.run(compose_argv(file), cwd=root, stream=show)
    return f"{file} is up"


def initialise_database(root: Path, project: Project, runner: Runner, show: Callable[[str], None]) -> str:
    """Run the declared command with the values of ``.env``; return what to say about it.

    Raises:
        ConfigError: the command line cannot be split into words.
        TaskFailedError: it failed.
    """
    command = project.setup.database
    try:
        argv = shlex.split(command)
    except ValueError as error:
        where = place(root, "setup", "database")
        raise ConfigError(f"{where}: {command!r} is not a command line: {str(error).lower()}") from None
    runner.run(argv, cwd=root, env=development_values(root, os.environ), stream=show)
    return f"{argv[0]} is done"


def development_values(root: Path, process: Mapping[str, str]) -> dict[str, str]:
    """Return the process environment over what ``.env`` says; empty values there count as not set."""
    values = {entry.name: entry.text for entry in read_entries(root, ".env") if entry.text}
    # So that the command finds the project's own interpreter and tools first.
    path = f"{root / environment_place() / 'bin'}{os.pathsep}{process.get('PATH', '')}"
    return {**values, **process, "PATH": path}
