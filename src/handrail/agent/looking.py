"""Requests that look and change nothing."""

import os
import time

from handrail.agent.app import App
from handrail.agent.commands import how_it_ended, run
from handrail.agent.files import read_json
from handrail.agent.holding import look_at_held
from handrail.agent.instances import Instances
from handrail.agent.locking import lock_state
from handrail.agent.machine import disk, find_pythons, find_supervisor, is_writable, libc_version, user_name
from handrail.agent.refusal import Refused
from handrail.agent.schema import declared_irreversible
from handrail.agent.service import Service
from handrail.agent.transaction import Transaction, public_state
from handrail.agent.workers import installed_workers, look_at_workers, read_scale


def hello(agent, request, _payload):
    """Say what this host is and what is on it; changes nothing."""
    agent.app = App(request["root"], request["app"])
    agent.silence = max(5.0, request.get("silence", 3600.0))
    return {
        "host": os.uname().nodename,
        "user": user_name(),
        "uid": os.geteuid(),
        "home": os.path.expanduser("~"),
        "folder": agent.app.folder,
        "system": os.uname().sysname,
        "machine": os.uname().machine,
        "libc": list(libc_version()),
        "pythons": find_pythons(),
        "supervisor": find_supervisor(),
        "clock": time.time(),
        "disk": disk(agent.app.folder),
        "writable": is_writable(agent.app.folder),
        **past_of(agent.app),
        "transaction": public_state(Transaction(agent.app).state()),
        "scale": read_scale(agent.app),
        "decision": Transaction(agent.app).decision(),
        "lock": lock_state(agent),
    }


def status(agent, request, _payload):
    instances = Instances(agent.app, request.get("service"))
    live = instances.live()
    service = instances.service(live or "web")
    report = service.look() if service else None
    return {
        "held": look_at_held(agent.app),
        "processes": look_at_workers(agent.app),
        "scale": read_scale(agent.app),
        "slot": live if live in ("blue", "green") else "",
        "proxy_port": instances.proxy.live_port() if instances.proxy else None,
        "maintenance": instances.proxy.maintenance_since() if instances.proxy else None,
        **past_of(agent.app),
        "service": report,
        "disk": disk(agent.app.folder),
        "lock": lock_state(agent),
        "transaction": public_state(Transaction(agent.app).state()),
    }


def past_of(app):
    """Return the release that serves, those to which it could go back, and what was recorded last."""
    current = app.current_release()
    history, events = app.history_and_events()
    return {
        "current": current,
        "good": app.good_releases(history),
        "history": history[-200:],
        "events": events[-50:],
        "fleet": read_json(app.path("fleet.json")),
    }


def logs(agent, request, _payload):
    service = chosen_service(agent.app, request)
    if not request.get("follow"):
        return {"lines": service.read_logs(request["lines"])}
    argv = [word.replace("{lines}", str(request["lines"])) for word in service.spec["logs_follow"]]
    code, lines = run(argv, 1e9, gone=agent.stop, emit=lambda line: agent.event(line=line))
    if code != 0 and not agent.stop.is_set():
        raise Refused("service", "`%s` %s" % (" ".join(argv), how_it_ended(code)), lines=lines[-5:])
    return {"lines": []}


def chosen_service(app, request):
    """Return the service whose logs are asked for: the one that serves, or one of the background processes."""
    wanted = request.get("process") or "web"
    if wanted == "web":
        instances = Instances(app, request["service"])
        return instances.service(instances.live() or "web")
    installed = installed_workers(app)
    found = [spec for name, spec in sorted(installed.items()) if wanted in (name, spec["process"])]
    if not found:
        known = ", ".join(["web", *sorted({spec["process"] for spec in installed.values()})])
        raise Refused("bad-request", "no process %r runs here; there are: %s" % (wanted, known))
    return Service(app, found[0])


def release_facts(agent, request, _payload):
    """Return a release's manifest, its irreversible migrations, and its variables' names and digests, no values."""
    release = request["release"]
    manifest = read_json(agent.app.release(release, ".handrail", "manifest.json")) or {}
    names = read_json(agent.app.release(release, ".handrail", "variables.json")) or {}
    irreversible = declared_irreversible(agent.app, release)
    return {"manifest": manifest, "variables": names, "irreversible": irreversible}
