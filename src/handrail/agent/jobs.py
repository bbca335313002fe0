"""Periodic jobs: they run the release that was settled last, at their times, on the hosts where they are wanted.

Under systemd a timer starts a service that ends by itself; elsewhere a process that goes on running waits for the
times (`handrail.runtime.scheduler`), and the manager drains it as it does any other.
"""

import os
import signal
import time

from handrail.agent.commands import run
from handrail.agent.files import read_json
from handrail.agent.refusal import Refused
from handrail.agent.service import Service


def is_job(spec):
    return bool(spec.get("schedule"))


def drain(app, spec):
    """Let no further run begin and the one in progress end by itself, for as long as it is given; then stop it."""
    if "when" not in spec:
        return
    service = Service(app, spec)
    for argv in spec["pause"]:
        run(argv, 60)
    deadline = time.monotonic() + spec["stop_timeout"]
    pause = 0.05
    while service.pid() and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
    if service.pid():
        service.stop()


def begin(app, spec):
    """Begin one run now, and do not wait for it."""
    service = Service(app, spec)
    if look_at_job(app, spec, app.current_release())["running"]:
        raise Refused("bad-request", "%s runs already; one run at a time" % spec["process"])
    if "when" in spec:
        service.begin()
        return
    pid = service.pid()
    if not pid:
        raise Refused("bad-request", "%s is not running" % spec["name"])
    os.kill(pid, signal.SIGUSR1)


def look_at_job(app, spec, current):
    """Return a job's row for `inv status`; times are in seconds of the epoch, by the host's clock."""
    facts = look_at_timer(spec) if "when" in spec else look_at_report(app, spec)
    release = app.jobs_release()
    why = facts.pop("why")
    if not why and release != current:
        why = "it runs release %s" % (release or "none")
    row = {"name": spec["name"], "process": spec["process"], "schedule": spec["schedule"], "running_release": release}
    row.update(facts, ok=not why, why=why)
    return row


def look_at_timer(spec):
    """Return the facts of a timer and its service, as systemd tells them."""
    environment = dict(os.environ, TZ="UTC", LC_ALL="C")
    timer, service = (properties(run(argv, 20, env=environment)[1]) for argv in spec["when"])
    running = service.get("ActiveState") == "activating"
    last = how_it_ended(read_json(spec["report"]) or {})
    ended = seconds(service.get("ExecMainExitTimestamp"))
    if not running and ended and (not last or ended > last["ended"] + 1):
        # What could not even be started could not be written down either.
        how = "exited" if service.get("ExecMainCode") == "1" else "killed"
        last = how_it_ended({"last": {"ended": ended, "how": how, "status": service.get("ExecMainStatus")}})
    return {
        "pid": 0,
        "next": seconds(timer.get("NextElapseUSecRealtime")),
        "running": seconds(service.get("ExecMainStartTimestamp")) if running else None,
        "last": last,
        "why": "" if timer.get("ActiveState") == "active" else "its timer is not active",
    }


def how_it_ended(report):
    """Return {"ended", "code", "release"} of a job's last run, or None; a negative code is a signal."""
    last = report.get("last")
    if not last or "how" not in last:
        return last
    status = str(last.get("status", ""))
    if not status.isdigit():
        number = getattr(signal, "SIG" + status, None)
        status = number.value if number else 255
    code = int(status) if last["how"] == "exited" else -int(status)
    return {"ended": last["ended"], "code": code, "release": last.get("release", "")}


def look_at_report(app, spec):
    """Return the facts of a job whose scheduler is a process of its own."""
    report = read_json(spec["report"]) or {}
    pid, why = None, ""
    try:
        pid = Service(app, spec).pid()
        why = "" if pid else "the process that waits for its times is not running"
    except Refused as error:
        why = str(error)
    return {
        "pid": pid,
        "next": report.get("next"),
        "running": report.get("running"),
        "last": how_it_ended(report),
        "why": why,
    }


def properties(lines):
    return dict(line.partition("=")[::2] for line in lines if "=" in line)


def seconds(stamp):
    """Return the epoch's seconds of a time such as ``Wed 2026-11-25 08:30:00 UTC``, or None."""
    import calendar  # few agents read a time

    try:
        return calendar.timegm(time.strptime(stamp or "", "%a %Y-%m-%d %H:%M:%S UTC"))
    except ValueError:
        return None
