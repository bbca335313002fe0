"""The launcher: the POSIX sh script inside a release through which its process starts.

The process manager starts ``current/.handrail/run-web``; everything that belongs to one release is behind
that path: its folder, its environment file, its virtual environment and its command. The command itself never
meets a shell: it is split here, its words are quoted one by one, and ``exec`` makes it the manager's own
child, so that signals and the process id are the service's.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping

from handrail.errors import ConfigError
from handrail.runtime.process import Job

SCHEDULER = "scheduler.py"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_SUBSTITUTION = re.compile(r"`|\$\(|\$\{?[A-Za-z_]\w*\}?")
_OPERATOR = re.compile(r"\|\|?|&&?|;|[<>]{1,2}")
# Where /bin/sh is bash (macOS, Red Hat) an assignment to one of these ends the script.
_READ_ONLY_IN_SH = frozenset({"BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"})
_LONGEST_ASSIGNMENT = 128 * 1024 - 1  # Linux: MAX_ARG_STRLEN, with the closing NUL

_SCRIPT = """\
#!/bin/sh
# Written by Handrail for release {release} of {app}.
set -eu
unset CDPATH
case $0 in
    */*) cd -P -- "${{0%/*}}/.." ;;
    *) cd -P -- .. ;;
esac
# 'current' may have moved on since this file was opened: stay with the release that it belongs to.
[ "${{PWD##*/}}" = {release} ] || cd -P -- ../{release}
release_dir=$PWD

# What the process manager inherited from somebody's login must not reach into the release.
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV
export PYTHONUNBUFFERED=1
if [ -e .handrail/env ]; then
    . ./.handrail/env
fi
# What `inv scale` said; it outlives releases.
if [ -e ../../scale.env ]; then
    . ../../scale.env
fi
export HANDRAIL_APP={app}
export HANDRAIL_PROCESS={process}
export HANDRAIL_RELEASE={release}
export PORT={port}
PATH=${{PATH:-/usr/local/bin:/usr/bin:/bin}}
if [ -d "$release_dir/.venv" ]; then
    export VIRTUAL_ENV="$release_dir/.venv"
    PATH=$VIRTUAL_ENV/bin:$PATH
fi
export PATH
exec {command}
"""

_ENDED = """\
#!/bin/sh
# Written by Handrail: remembers how a run ended, as systemd tells it, for `inv status`.
set -eu
release=$(cd -P -- "${{0%/*}}/.." && pwd)
cd -P -- "$release/../../shared/log"
printf '{{"last": {{"ended": %s, "how": "%s", "status": "%s", "result": "%s", "release": "%s"}}}}\\n' \\
    "$(date +%s)" "${{EXIT_CODE:-}}" "${{EXIT_STATUS:-}}" "${{SERVICE_RESULT:-}}" "${{release##*/}}" \\
    > {name}.json.$$.tmp
mv -f {name}.json.$$.tmp {name}.json
"""


def render_job(name: str, job: Job, *, patience: float, app: str, port: int, release: str) -> dict[str, str]:
    """Return the further files of a periodic job by their names after ``run-``; each with mode 0755.

    Args:
        patience: seconds for which a run may go on by itself when a deploy wants to go on.
    """
    from pathlib import Path

    schedule = json.dumps(dataclasses.asdict(job.schedule), separators=(",", ":"))
    report = f"../../shared/log/{name}.json"
    words = [name, schedule, f"{patience:g}", f"{job.timeout:g}", report]
    command = shlex.join(["python3", "-I", "-S", f".handrail/run-{SCHEDULER}", *words])
    return {
        f"{name}.ended": _ENDED.format(name=name),
        f"{name}.scheduled": render_launcher(command, app=app, process=name, port=port, release=release),
        SCHEDULER: Path(__file__).with_name(SCHEDULER).read_text("utf-8"),
    }


def render_launcher(command: str, *, app: str, process: str, port: int, release: str) -> str:
    """Return the text of ``releases/<release>/.handrail/run-<process>``; it must be written with mode 0755.

    Args:
        command: ``{port}`` and ``{app}`` are filled in; other braces stay as they are.
        release: the release's id, which is also the name of its folder.

    Raises:
        ConfigError: the command is empty, has an open quote, or needs a shell.
    """
    words = split_command(command)
    filled = [word.replace("{port}", str(port)).replace("{app}", app) for word in words]
    return _SCRIPT.format(
        app=quote(app),
        process=quote(process),
        port=quote(str(port)),
        release=quote(release),
        command=" ".join(quote(word) for word in filled),
    )


def render_env(values: Mapping[str, str]) -> str:
    """Return the text of ``.handrail/env``: one ``export NAME='value'`` each, sorted, for any POSIX sh.

    The values are secrets as often as not: write it with mode 0600, encoded as UTF-8 with
    ``surrogateescape`` so that bytes which are no UTF-8 survive.

    Raises:
        ConfigError: a name that sh cannot export, or a value that no process environment can hold. The
            message names the variable, never the value.
    """
    lines = []
    for name, value in sorted(values.items()):
        if not _NAME.match(name):
            raise ConfigError(f"variable {name!r}: expected letters, digits and '_', not starting with a digit")
        if name in _READ_ONLY_IN_SH:
            raise ConfigError(f"variable {name}: the shell on some hosts does not allow it to be set")
        if "\0" in value:
            raise ConfigError(f"variable {name}: its value holds a NUL byte, which no environment can hold")
        if len(f"{name}={value}".encode("utf-8", "surrogateescape")) > _LONGEST_ASSIGNMENT:
            raise ConfigError(f"variable {name}: its value is longer than the 128 KiB that Linux allows")
        lines.append(f"export {name}={quote(value)}\n")
    return "".join(lines)


def split_command(command: str, where: str = "tool.handrail.service.command") -> list[str]:
    """Split a command line into words as a shell would, and refuse what only a shell could do.

    Raises:
        ConfigError: names ``where``, what was found and what to do instead.
    """
    script = "put it into a script in the repository and name the script here"
    found = _shell_syntax(command)
    if found:
        raise ConfigError(
            f"{where}: {found!r} needs a shell, and the command is run without one",
            next_step=f"{script}, or quote {found!r} where it is meant as it stands",
        )
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"{where}: {str(error).lower()} in {command!r}") from None
    if not words or not words[0]:
        raise ConfigError(f"{where}: expected a command, found {command!r}")
    if "\0" in command:
        raise ConfigError(f"{where}: a NUL byte cannot stand in a command")
    if _ASSIGNMENT.match(words[0]):
        name = words[0].partition("=")[0]
        raise ConfigError(
            f"{where}: {name}=… cannot stand before the command, which is run without a shell",
            next_step=f"declare {name} in env/example.env and set it in env/<environment>.env",
        )
    return words


def quote(word: str) -> str:
    """Quote for sh with single quotes, always: nothing inside them has a meaning, line ends included."""
    return "'" + word.replace("'", "'\\''") + "'"


def _shell_syntax(command: str) -> str:
    """Return the first operator, substitution or variable that a shell would act on, or ``""``."""
    quoted_by = ""
    position = 0
    while position < len(command):
        character = command[position]
        if character == "\\" and quoted_by != "'":
            position += 2
            continue
        if character in "'\"" and quoted_by in ("", character):
            quoted_by = "" if quoted_by else character
        elif quoted_by != "'" and (substitution := _SUBSTITUTION.match(command, position)):
            return substitution.group()
        elif not quoted_by and (operator := _OPERATOR.match(command, position)):
            return operator.group()
        position += 1
    return ""
