"""supervisor as the sandbox's process manager: where an agent looks for a user's own one, ``~/.supervisor``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from handrail.sandbox.places import Places, write_private


def render_conf(places: Places, socket: Path) -> str:
    """Return the text of supervisord.conf; programs are files in ``include/``, written by deploys."""
    folder = places.supervisor
    return f"""\
; Written by `inv sandbox.up`.
[unix_http_server]
file={socket}
chmod=0700

[supervisord]
nodaemon=true
silent=true
directory={places.home}
pidfile={folder}/supervisord.pid
logfile={folder}/supervisord.log
logfile_maxbytes=1MB
logfile_backups=1
childlogdir={folder}/log

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{socket}

[include]
files=include/*.conf
"""


def prepare(places: Places, socket: Path) -> list[str]:
    """Write the configuration and the ``supervisorctl`` of this host; return supervisord's argv."""
    folder = places.supervisor
    for needed in (folder / "bin", folder / "include", folder / "log"):
        needed.mkdir(parents=True, exist_ok=True)
    conf = folder / "supervisord.conf"
    write_private(conf, render_conf(places, socket))
    # The host's sessions have a clean environment and the host's own python3: name the interpreter.
    # Its modules are ours and not a program's, so a warning in them is nobody's concern here.
    python = shlex.quote(sys.executable)
    control = f'#!/bin/sh\nexec {python} -W ignore -m supervisor.supervisorctl "$@"\n'
    write_private(folder / "bin" / "supervisorctl", control, 0o700)
    return [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(conf)]


def programs(socket: Path) -> list[dict[str, Any]] | None:
    """Return supervisor's programs as {"name", "pid", "state"}, or None when it does not answer."""
    import xmlrpc.client

    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(None, None, f"unix://{socket}")
    proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport)
    try:
        answer: Any = proxy.supervisor.getAllProcessInfo()
    except (OSError, xmlrpc.client.Error):
        return None
    finally:
        transport.close()
    return [{"name": p["name"], "pid": p["pid"], "state": str(p["statename"]).lower()} for p in answer]
