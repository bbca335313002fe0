"""supervisor: one program file in the folder that supervisord includes.

``facts["supervisor"]`` says where it is on the host:
    ``ctl``: path of supervisorctl.
    ``conf``: supervisord's configuration file.
    ``include``: folder whose program files it includes.
    ``suffix``: their file name suffix where it is not ``.conf`` (``.ini`` on Red Hat).
    ``root``: whether only root may write there and talk to supervisord; without it, true for a folder below
    /etc when the user is not root.
``facts["home"]`` is the user's home folder: supervisord starts a program of another user with its own HOME.

What supervisorctl does, and what the sequences rely on: ``reread`` reads the files and touches no process
(and is where an error in a file shows); ``update <name>`` installs a new or changed program and starts it
(autostart is needed for the host's next boot), leaves an unchanged one alone and, with the name given, leaves
the host's other programs alone too. ``restart`` stops a process that runs or waits for its next try, ignores
one that does not run, and starts it; it returns when the process has lived for ``startsecs``, or fails when
it died before. supervisord refuses its whole configuration when the folder of a log file is missing: the
agent makes ``shared/log`` with the app's other folders.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Any

from handrail.errors import ConfigError, PreflightError
from handrail.runtime.process import Process, check_path

# Seconds that a scheduler may take to end a run which did not end by itself.
LONGEST_END = 20


def build(process: Process, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the service's description; see `handrail.runtime.service_spec`.

    Raises:
        PreflightError: no supervisor was found on the host.
    """
    found = facts.get("supervisor") or {}
    missing = [key for key in ("ctl", "conf", "include") if not found.get(key)]
    if missing:
        raise PreflightError(
            f"supervisor is not usable on the host: {' and '.join(missing)} not found",
            next_step='install supervisor there, or set manager = "systemd" in [tool.handrail.service]',
        )
    include = str(found["include"])
    check_path("supervisor's include folder", include)
    needs_root = bool(found.get("root", not process.is_root and include.startswith("/etc/")))
    sudo = ["sudo", "-n"] if needs_root and not process.is_root else []
    ctl = [*sudo, str(found["ctl"]), "-c", str(found["conf"])]
    report = {"report": process.report} if process.job else {}
    tail = ["tail", "-n", "{lines}", process.log_file]
    return {
        "name": process.name,
        "manager": "supervisor",
        "files": [
            {
                "path": f"{include.rstrip('/')}/{process.name}{found.get('suffix', '.conf')}",
                "content": render_program(process, home=str(facts.get("home", ""))),
                "mode": 0o644,
                "root": bool(sudo),
            }
        ],
        "reload": [[*ctl, "reread"], [*ctl, "update", process.name]],
        "start": [[*ctl, "start", process.name]],
        "restart": [[*ctl, "restart", process.name]],
        "stop": [[*ctl, "stop", process.name]],
        "retire": [[*ctl, "stop", process.name]],
        "forget": [[*ctl, "reread"], [*ctl, "update", process.name]],
        "pid": [*ctl, "pid", process.name],
        "logs": tail,
        "logs_follow": ["tail", "-n", "{lines}", "-F", process.log_file],
        "check": [[*ctl, "pid"]],
        **report,
    }


def render_program(process: Process, *, home: str = "") -> str:
    """Return the program file's text, which names no release, no command and no value.

    Raises:
        ConfigError: a path that supervisor cannot be given safely.
    """
    for what, path in (("app folder", process.app_dir), ("home folder", home)):
        # supervisor expands some settings once and some twice, by version: no escape is right for all of
        # them.
        if "%" in path:
            raise ConfigError(f"{what} {path!r}: supervisor cannot take a path with '%'")
    if home:
        check_path("home folder", home)
    # supervisord looks the user up; a bare number is what hosts report for a user without an entry.
    user = "" if process.user.isdigit() else f"user={process.user}\n"
    # A job is asked through its scheduler, which lets a run end by itself first.
    command = f"{process.launcher}.scheduled" if process.job else process.launcher
    patience = process.stop_timeout + (LONGEST_END if process.job else 0)
    return f"""\
; Written by Handrail; changes are overwritten by the next deploy.
[program:{process.name}]
command={shlex.quote(command)}
{user}{_environment(process, home)}autostart=true
autorestart=unexpected
startsecs=1
startretries=3
stopsignal=TERM
stopwaitsecs={max(1, math.ceil(patience))}
stopasgroup={"false" if process.job else "true"}
killasgroup=true
redirect_stderr=true
stdout_logfile={process.log_file}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=5
"""


def _environment(process: Process, home: str) -> str:
    return f'environment=HOME="{home}",USER="{process.user}"\n' if home else ""
