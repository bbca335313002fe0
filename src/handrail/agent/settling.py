"""Requests about background processes: follow the release, and run another number of them."""

import json
import os

from handrail.agent.files import read_json, remove_file, write_atomic
from handrail.agent.instances import Instances, files_of, with_files
from handrail.agent.jobs import begin, is_job
from handrail.agent.locking import must_hold_lock
from handrail.agent.refusal import Refused
from handrail.agent.resizing import resize
from handrail.agent.transaction import WEB_MARK, Transaction
from handrail.agent.workers import bring, installed_workers, read_scale, write_scale


def settle(agent, request, _payload):
    """Bring the background processes to the release that serves now, before anybody decides to keep it.

    ``if_it_serves``: not yet where activation has left the traffic to be moved.
    """
    must_hold_lock(agent)
    if request.get("if_it_serves") and agent.moves:
        return {"processes": []}
    transaction = Transaction(agent.app)
    state = transaction.state()
    wanted = processes_of(agent.app, state["release"], (state.get("service") or {}).get("processes") or {})
    before = installed_workers(agent.app)
    if not wanted and not before:
        return {"processes": []}
    with transaction.acting():
        if transaction.decision():
            raise Refused("returned", "this host has already decided to %s" % transaction.decision())
        # First the memory of what to return to, then the change.
        transaction.update(workers=before)
        bring(agent.app, wanted, state["release"])
    return {"processes": sorted(wanted)}


def processes_of(app, release, declared):
    """Return what a release runs beside its service: what was declared with it, in the numbers of today.

    A rollback brings back the processes that the older release had, whatever is declared now; its periodic jobs with
    the times that they had, on the hosts of today.
    """
    path = app.release(release, ".handrail", "processes.json")
    if not os.path.exists(path):
        write_atomic(path, json.dumps(declared), 0o644)
        own = declared
    else:
        own = read_json(path) or {}
    known = {spec["process"] for spec in own.values() if not is_job(spec)}
    today = {spec["process"] for spec in declared.values() if not is_job(spec)}
    wanted = {name: spec for name, spec in own.items() if is_job(spec) or spec["process"] not in today}
    wanted.update({name: spec for name, spec in declared.items() if not is_job(spec) and spec["process"] in known})
    # With the unit that it had.
    texts = files_of(*own.values())
    wanted = {name: with_files(spec, texts) for name, spec in wanted.items()}
    here = {name: declared.get(name, spec).get("here", True) for name, spec in wanted.items()}
    return {name: spec for name, spec in wanted.items() if here[name]}


def scale(agent, request, _payload):
    """Run another number of processes of the release that serves; what was before comes back where that fails.

    Where it does not come back, the refusal's kind is ``not-undone``.
    """
    must_hold_lock(agent)
    app = agent.app
    release = app.current_release()
    if not release:
        raise Refused("bad-request", "nothing is deployed here")
    before, specs_before = read_scale(app), installed_workers(app)
    mark = app.path(WEB_MARK)
    # One that was cut off wrote the number down, and may not have brought the server to it.
    was_cut = os.path.exists(mark)
    changes_web = was_cut or before.get("web") != request["scale"].get("web")
    if changes_web:
        write_atomic(mark, "", 0o644)
    wanted = web = None
    try:
        write_scale(app, request["scale"])
        declared = (request["service"] or {}).get("processes") or {}
        texts = files_of(*specs_before.values())
        wanted = {name: with_files(spec, texts) for name, spec in declared.items() if not is_job(spec)}
        # Jobs have no number, and are as the release had them.
        wanted.update({name: spec for name, spec in specs_before.items() if is_job(spec)})
        bring(app, wanted, release, restart=False)
        web = {"how": "", "why": ""}
        if changes_web:
            web = change_web(app, request["service"], release, before.get("web"), request["scale"].get("web"))
    except Exception as error:
        try:
            if read_scale(app) != before:
                write_scale(app, before)
            if wanted is not None:
                bring(app, specs_before, release, restart=False)
            if changes_web and web is not None:
                change_web(app, request["service"], release, request["scale"].get("web"), before.get("web"))
            if web is not None or not was_cut:
                remove_file(mark)
        except (Refused, OSError) as second:
            # The client must not say of this host that it runs what it ran before.
            facts = second.facts if isinstance(second, Refused) else {}
            raise Refused("not-undone", "%s, after: %s" % (second, error), **facts) from None
        raise
    remove_file(mark)
    now = read_scale(app)
    changed = [name for name in sorted({**before, **now}) if before.get(name) != now.get(name)]
    if changed:
        app.note("scale", " ".join("%s=%s" % (name, now.get(name, "declared")) for name in changed), request["by"])
    return {"scale": now, "web": web}


def begin_job(agent, request, _payload):
    """Begin one run of a periodic job now."""
    must_hold_lock(agent)
    for spec in installed_workers(agent.app).values():
        if is_job(spec) and spec["process"] == request["process"]:
            begin(agent.app, spec)
            return {}
    raise Refused("bad-request", "no job %s is here; the next deploy brings it" % request["process"])


def change_web(app, spec, release, before, wanted):
    """Give the server its number of workers, without a restart where it can do that; return how, and why not better.

    Args:
        before, wanted: numbers; None for what the server has without `inv scale`.
    """
    own = read_json(app.release(release, ".handrail", "files.json"))
    instances = Instances(app, with_files(spec, own))
    service = instances.service(instances.live() or "web")
    pid = service.pid()
    why = "the number is the server's own again"
    if pid and wanted:
        why = resize(pid, before or 0, wanted, service.spec["stop_timeout"])
        if not why:
            report = service.look(release)
            if report["ok"] and report["pid"] == pid:
                return {"how": "resized", "why": ""}
            why = report["why"] or "its main process did not survive it"
    service.restart()
    report = service.wait_until_healthy(release)
    if not report["ok"]:
        raise Refused("unhealthy", report["why"], lines=service.logs(20))
    return {"how": "restarted", "why": why}
