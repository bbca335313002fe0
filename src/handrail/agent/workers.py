"""Background processes: they follow the release, drained and started again, and are stopped when nobody wants them.

``processes.json`` holds the specs of what runs, by the manager's name; it is the one memory of them, because what is
declared changes from release to release.
"""

import json
import os
import threading

from handrail.agent.files import read_json, write_atomic
from handrail.agent.jobs import drain, is_job, look_at_job
from handrail.agent.refusal import Refused
from handrail.agent.service import Service


def installed_workers(app):
    """Return the specs of what was started last, by the manager's name."""
    return read_json(app.path("processes.json")) or {}


def bring(app, wanted, release, restart=True):
    """Make exactly ``wanted`` run, as ``release``; idempotent.

    Args:
        restart: start again what runs already; without, only what is missing is started.

    Raises:
        Refused: one does not stay up or does not end; all of them are remembered, so that they can be stopped.
    """
    installed = installed_workers(app)
    write_workers(app, {**installed, **wanted})
    files = {item["path"] for spec in wanted.values() for item in spec["files"]}
    each({name: spec for name, spec in installed.items() if name not in wanted}, lambda spec: end(app, spec, files))
    write_workers(app, wanted)
    missing = {n: spec for n, spec in wanted.items() if restart or n not in installed or not runs(app, spec)}
    # A job's run in progress ends first: the link that it was started through moves afterwards.
    each({name: spec for name, spec in installed.items() if name in missing and is_job(spec)}, lambda s: drain(app, s))
    jobs = [spec for spec in wanted.values() if is_job(spec)]
    if missing or not jobs:
        app.link_jobs(release if jobs else "")
    # One after the other: instances share the file of their template.
    for spec in missing.values():
        Service(app, spec).install()
    each(missing, lambda spec: start(app, spec, release))


def runs(app, spec):
    """Tell whether one that was started last is there; who started it may have died before he did."""
    return is_job(spec) or bool(Service(app, spec).pid())


def bring_back(app, release):
    """Start those again that their manager has started as another release, as after a reboot."""
    strays = {}
    for name, spec in installed_workers(app).items():
        if not is_job(spec) and Service(app, spec).look(release)["running_release"] not in (None, "", release):
            strays[name] = spec
    each(strays, lambda spec: start(app, spec, release))


def start(app, spec, release):
    service = Service(app, spec)
    service.restart()
    if "when" in spec:
        return  # a timer has no process that could be asked
    report = service.wait_until_healthy(release)
    if not report["ok"]:
        raise Refused("unhealthy", "%s: %s" % (spec["name"], report["why"]), lines=service.logs(20))


def end(app, spec, files_in_use):
    """Stop one for good, as gently as a restart does; refuse where it goes on, since nobody would know of it."""
    drain(app, spec)
    own = [item for item in spec["files"] if item["path"] not in files_in_use]
    Service(app, dict(spec, files=own)).end()
    if os.path.exists(spec.get("report", "")):
        os.unlink(spec["report"])


def each(specs, work):
    """Do ``work`` for all at once: each may take its whole stop_timeout to finish what it does."""
    failures = []

    def one(spec):
        try:
            work(spec)
        except (Refused, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(spec,)) for spec in specs.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def write_workers(app, specs):
    write_atomic(app.path("processes.json"), json.dumps(specs, sort_keys=True))


def look_at_workers(app):
    """Return each background process: name, pid, release that it reports, and whether that is the one that serves."""
    current = app.current_release()
    rows = []
    for name, spec in sorted(installed_workers(app).items()):
        if is_job(spec):
            rows.append(look_at_job(app, spec, current))
            continue
        report = Service(app, spec).look(current)
        rows.append(
            {
                "name": name,
                "process": spec["process"],
                "pid": report["pid"],
                "running_release": report["running_release"] or None,
                "ok": report["ok"],
                "why": report["why"],
            }
        )
    return rows


def read_scale(app):
    """Return what `inv scale` said on this host: numbers by process."""
    return read_json(app.path("scale.json")) or {}


def write_scale(app, scale):
    write_atomic(app.path("scale.json"), json.dumps(scale, sort_keys=True))
    # gunicorn and uvicorn take the number of their own workers from it.
    text = "export WEB_CONCURRENCY=%d\n" % scale["web"] if "web" in scale else ""
    write_atomic(app.path("scale.env"), text, 0o644)
