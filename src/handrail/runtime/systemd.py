"""systemd: a system unit, so that the service starts with the host and no login session is needed.

Two settings keep a rollback possible. ``StartLimitIntervalSec=0``: with the default limit a release that
crashed five times in ten seconds makes systemd refuse the next ``restart`` too, the one that brings the old
release back. ``KillMode=mixed``: only the main process is asked to stop, so that a server can finish its
requests and stop its workers itself, and what is left over is killed and cannot keep the port.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from handrail.config.cron import WEEKDAYS, Schedule
from handrail.config.directives import directive_lines
from handrail.runtime.hardening import hardening_lines, is_confined, steps_of
from handrail.runtime.process import Job, Process

UNIT_FOLDER = "/etc/systemd/system"
# Seconds between the polite end of a job's run and the kill, after it was given its time to end by itself.
JOB_STOP_TIMEOUT = 10
# Seconds over which hosts spread the same job.
SPREAD = 30
_RUN = ("ActiveState", "ExecMainStartTimestamp", "ExecMainExitTimestamp", "ExecMainCode", "ExecMainStatus")


def build(process: Process, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the service's description; see `handrail.runtime.service_spec`."""
    directives = _directives(process, str(facts.get("home", "")))
    if process.job:
        return build_job(process, process.job, directives)
    # Several of the same process are instances of one template unit.
    template = f"{process.app}-{process.program}@.service" if process.instance else f"{process.name}.service"
    unit = template.replace("@", f"@{process.instance}") if process.instance else template
    systemctl = [*_sudo(process), "systemctl"]
    enable = [*systemctl, "--quiet", "enable", unit]
    return {
        **_any_service(process, unit, directives),
        "name": unit.removesuffix(".service"),
        "files": [_file(process, template, render_unit(process, directives))],
        "reload": [[*systemctl, "daemon-reload"], *([] if process.instance else [enable])],
        "start": [[*systemctl, "start", unit]],
        # A template is written once, and each of its instances is enabled by itself.
        "restart": [*([enable] if process.instance else []), [*systemctl, "restart", unit]],
        "retire": [[*systemctl, "--quiet", "disable", "--now", unit]],
        "confined": is_confined(directives),
    }


def build_job(process: Process, job: Job, directives: Sequence[str]) -> dict[str, Any]:
    """Return a periodic job's description: a timer, and the service that it starts; see `service_spec`."""
    service, timer = f"{process.name}.service", f"{process.name}.timer"
    systemctl = [*_sudo(process), "systemctl"]
    texts = {service: render_job(process, job, directives), timer: render_timer(process, job)}
    return {
        **_any_service(process, service, directives),
        "name": process.name,
        "files": [_file(process, name, text) for name, text in texts.items()],
        "reload": [[*systemctl, "daemon-reload"], [*systemctl, "--quiet", "enable", timer]],
        "start": [[*systemctl, "start", "--no-block", service]],
        "restart": [[*systemctl, "restart", timer]],
        "pause": [[*systemctl, "stop", timer]],
        # Without the stamp of its last run, one that is declared again some day would begin with what it missed.
        "retire": [
            [*systemctl, "--quiet", "disable", "--now", timer],
            [*systemctl, "stop", service],
            [*systemctl, "clean", "--what=state", timer],
        ],
        "when": [
            ["systemctl", "show", "--property=ActiveState,NextElapseUSecRealtime", timer],
            ["systemctl", "show", f"--property={','.join(_RUN)}", service],
        ],
        "report": process.report,
    }


def _any_service(process: Process, unit: str, directives: Sequence[str]) -> dict[str, Any]:
    """Return the part of a description that is the same for every service, however it is started."""
    systemctl = [*_sudo(process), "systemctl"]
    journal = [*_sudo(process), "journalctl", f"--unit={unit}", "--output=short-iso", "--no-pager", "--lines={lines}"]
    return {
        "manager": "systemd",
        "stop": [[*systemctl, "stop", unit]],
        "forget": [[*systemctl, "daemon-reload"]],
        # Reading needs no rights, and prints 0 for a unit that is not running or does not exist.
        "pid": ["systemctl", "show", "--property=MainPID", "--value", unit],
        "logs": journal,
        "logs_follow": [*journal, "--follow"],
        # Fails where PID 1 is not systemd, and where sudo would ask for a password.
        "check": [[*systemctl, "show", "--property=Version"]],
        "ended": ["systemctl", "show", "--property=ExecMainStatus", "--value", unit],
        "needs": steps_of(directives),
    }


def _sudo(process: Process) -> list[str]:
    return [] if process.is_root else ["sudo", "-n"]


def _file(process: Process, name: str, text: str) -> dict[str, Any]:
    return {"path": f"{UNIT_FOLDER}/{name}", "content": text, "mode": 0o644, "root": not process.is_root}


def render_unit(process: Process, directives: Sequence[str]) -> str:
    """Return the unit file's text, which names no release, no command and no value."""
    return f"""\
{_head(process, "exec")}\
SyslogIdentifier={_escape(process.app)}-{_escape(process.program)}{"-%i" if process.instance else ""}
Restart=on-failure
RestartSec=1
KillMode=mixed
TimeoutStopSec={max(1, round(process.stop_timeout * 1000))}ms
{_text(directives)}
[Install]
WantedBy=multi-user.target
"""


def render_job(process: Process, job: Job, directives: Sequence[str]) -> str:
    """Return the text of the service that runs a job once."""
    return f"""\
{_head(process, "oneshot")}\
ExecStopPost="{_escape(process.launcher)}.ended"
SyslogIdentifier={_escape(process.name)}
KillMode=mixed
TimeoutStartSec={f"{max(1, round(job.timeout * 1000))}ms" if job.timeout else "infinity"}
TimeoutStopSec={JOB_STOP_TIMEOUT}
{_text(directives)}"""


def _head(process: Process, kind: str) -> str:
    """Return what every service's unit begins with, up to the command that it runs."""
    return f"""\
# Written by Handrail; changes are overwritten by the next deploy.
[Unit]
Description={_escape(process.app)} ({_escape(process.program)}{" %i" if process.instance else ""})
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type={kind}
User={_escape(process.user)}
ExecStart="{_escape(process.launcher)}"
"""


def render_timer(process: Process, job: Job) -> str:
    """Return the text of the timer that starts a job. A run that goes on is not started a second time.

    ``Persistent``: what came while the host was off, or while a deploy waited for a run to end, is made up for, once.
    """
    times = "".join(f"OnCalendar={times}\n" for times in calendar(job.schedule))
    return f"""\
# Written by Handrail; changes are overwritten by the next deploy.
[Unit]
Description=times of {_escape(process.app)} ({_escape(process.program)}): {_escape(job.cron)}

[Timer]
{times}Persistent=true
AccuracySec=1s
RandomizedDelaySec={SPREAD if job.spread else 0}

[Install]
WantedBy=timers.target
"""


def calendar(schedule: Schedule) -> list[str]:
    """Return a schedule as systemd's calendar events, in UTC: two of them where either kind of day is enough."""
    hours, minutes = _listed(schedule.hours, 0, 23, "{:02}"), _listed(schedule.minutes, 0, 59, "{:02}")
    months, days = _listed(schedule.months, 1, 12, "{:02}"), _listed(schedule.days, 1, 31, "{:02}")
    all_week = len(schedule.weekdays) == 7
    weekdays = "" if all_week else f"{','.join(WEEKDAYS[day].title() for day in schedule.weekdays)} "
    clock = f"{hours}:{minutes}:00 UTC"
    if schedule.either_day and not all_week and days != "*":
        return [f"*-{months}-{days} {clock}", f"{weekdays}*-{months}-* {clock}"]
    # Either of two, one of which always matches: always.
    days, weekdays = ("*", "") if schedule.either_day else (days, weekdays)
    return [f"{weekdays}*-{months}-{days} {clock}"]


def _listed(values: Sequence[int], low: int, high: int, form: str) -> str:
    if len(values) == high - low + 1:
        return "*"
    step = values[1] - values[0] if len(values) > 2 else 0
    if step > 1 and list(values) == list(range(values[0], high + 1, step)):
        return f"{form.format(values[0])}/{step}"
    return ",".join(form.format(value) for value in values)


def _directives(process: Process, home: str) -> list[str]:
    own = [line for name, value in process.unit.items() for line in directive_lines(name, value)]
    return [*hardening_lines(process.hardening, app_dir=_escape(process.app_dir), home=_escape(home)), *own]


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _escape(text: str) -> str:
    """Escape systemd's specifiers. Quotes, backslashes and ``$`` were refused by `Process`."""
    return text.replace("%", "%%")
