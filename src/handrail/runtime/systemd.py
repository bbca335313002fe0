"""systemd: a system unit, so that the service starts with the host and no login session is needed.

Two settings keep a rollback possible. ``StartLimitIntervalSec=0``: with the default limit a release that
crashed five times in ten seconds makes systemd refuse the next ``restart`` too, the one that brings the old
release back. ``KillMode=mixed``: only the main process is asked to stop, so that a server can finish its
requests and stop its workers itself, and what is left over is killed and cannot keep the port.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handrail.runtime.process import Process

UNIT_FOLDER = "/etc/systemd/system"


def build(process: Process, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the service's description; see `handrail.runtime.service_spec`."""
    # Several of the same process are instances of one template unit.
    template = f"{process.app}-{process.program}@.service" if process.instance else f"{process.name}.service"
    unit = template.replace("@", f"@{process.instance}") if process.instance else template
    sudo = [] if process.is_root else ["sudo", "-n"]
    systemctl = [*sudo, "systemctl"]
    journal = [*sudo, "journalctl", f"--unit={unit}", "--output=short-iso", "--no-pager", "--lines={lines}"]
    enable = [*systemctl, "--quiet", "enable", unit]
    return {
        "name": unit.removesuffix(".service"),
        "manager": "systemd",
        "files": [
            {
                "path": f"{UNIT_FOLDER}/{template}",
                "content": render_unit(process),
                "mode": 0o644,
                "root": not process.is_root,
            }
        ],
        "reload": [[*systemctl, "daemon-reload"], *([] if process.instance else [enable])],
        "start": [[*systemctl, "start", unit]],
        # A template is written once, and each of its instances is enabled by itself.
        "restart": [*([enable] if process.instance else []), [*systemctl, "restart", unit]],
        "stop": [[*systemctl, "stop", unit]],
        "retire": [[*systemctl, "--quiet", "disable", "--now", unit]],
        "forget": [[*systemctl, "daemon-reload"]],
        # Reading needs no rights, and prints 0 for a unit that is not running or does not exist.
        "pid": ["systemctl", "show", "--property=MainPID", "--value", unit],
        "logs": journal,
        "logs_follow": [*journal, "--follow"],
        # Fails where PID 1 is not systemd, and where sudo would ask for a password.
        "check": [[*systemctl, "show", "--property=Version"]],
    }


def render_unit(process: Process) -> str:
    """Return the unit file's text, which names no release, no command and no value."""
    return f"""\
# Written by Handrail; changes are overwritten by the next deploy.
[Unit]
Description={_escape(process.app)} ({_escape(process.program)}{" %i" if process.instance else ""})
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
User={_escape(process.user)}
ExecStart="{_escape(process.launcher)}"
SyslogIdentifier={_escape(process.app)}-{_escape(process.program)}{"-%i" if process.instance else ""}
Restart=on-failure
RestartSec=1
KillMode=mixed
TimeoutStopSec={max(1, round(process.stop_timeout * 1000))}ms

[Install]
WantedBy=multi-user.target
"""


def _escape(text: str) -> str:
    """Escape systemd's specifiers. Quotes, backslashes and ``$`` were refused by `Process`."""
    return text.replace("%", "%%")
