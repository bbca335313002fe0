"""Requests that start the new release, prove it, and send it the traffic."""

import json
import time

from handrail.agent import ballast, guardian
from handrail.agent.files import read_json, read_text, write_atomic
from handrail.agent.instances import Instances, files_of, with_files
from handrail.agent.locking import must_hold_lock, take
from handrail.agent.refusal import Refused
from handrail.agent.transaction import Transaction


def activate(agent, request, _payload):
    """Start the release in its instance, with a guardian who returns if nobody commits.

    With ``promote`` (a deploy's id) it is the one that this deploy holds here: what runs and is well stays as it is.
    """
    must_hold_lock(agent)
    transaction = Transaction(agent.app)
    state = transaction.state()
    release = state["release"]
    if not agent.app.is_complete(release):
        raise Refused("bad-request", "release %s is not complete on this host" % release)
    if agent.syncing:
        agent.syncing.join()
    spec, promotes = request.get("service"), bool(request.get("promote"))
    if promotes:
        if state["step"] != "held" or state["deploy"] != request["promote"]:
            raise Refused("bad-request", "this host does not hold that release any more")
        # Where it was started, whatever was declared since; the background processes in the numbers of today.
        spec = dict(state["service"], processes=(spec or {}).get("processes") or {})
        transaction.forget("decision", "reason", "times")
        transaction.update(promoted={"who": request["who"], "since": time.time()})
    if state["step"] == "lowered":
        # Its schema went first, and the guardian has watched since then.
        with transaction.acting():
            must_be_undecided(transaction)
            state = transaction.update(step="activating")
    else:
        state = arm(agent, transaction, spec, request["lease"], "activating", promotes=promotes)
    spec = state["service"]
    instances, live, goal = Instances(agent.app, spec), state["live"], state["goal"]
    switched = None
    with transaction.acting():
        # A host that was frozen here wakes up after its lease.
        must_be_undecided(transaction)
        if goal == "web":
            agent.app.switch(release)
            switched = time.monotonic()
        else:
            agent.app.link_slot(goal, release)
    service = instances.service(goal)
    restarts = bool(service) and not (promotes and service.look(release)["ok"])
    if restarts:
        if live and live != goal and instances.service(live).spec["port"] == service.spec["port"]:
            instances.service(live).stop()
        try:
            service.restart()
        except Refused as error:
            # Why it did not start, the service says better than its manager.
            error.facts["lines"] = error.facts.get("lines", []) + service.last_words()
            raise
    with transaction.acting():
        if transaction.decision() and goal != live and service:
            # Started after the guardian had ended it.
            service.retire()
        must_be_undecided(transaction)
        # Then it has the number of workers of today.
        transaction.update(step="activated", restarted=restarts)
    moves = bool(live) and live != goal
    if service and instances.proxy:
        moves = moves or not instances.proxy_for(goal).serves(goal)
    ago = None if switched is None else round(time.monotonic() - switched, 4)
    agent.moves = moves or goal != "web"
    page = bool(instances.proxy and instances.proxy.maintenance_since())
    return {"from": state["from"], "moves": agent.moves, "switched_ago": ago, "page": page}


def arm(agent, transaction, spec, lease, step, promotes=False, **changes):
    """Enter a step from which this host returns, with a guardian who sees to it. Returns the state."""
    # What a return needs is there before there can be anything to return from.
    ballast.load(transaction.path("ballast"))
    for name in ("guardian.log", "lease"):
        open(transaction.path(name), "wb").close()
    state = transaction.state()
    declared = spec
    spec = transaction.spare(lambda: remember_files(agent.app, state, declared))
    instances = Instances(agent.app, spec)
    # What a return writes back: the manager's files as they are now.
    now = {path: read_text(path) for path in files_of(spec)}
    changes["files"] = {path: text for path, text in now.items() if text}
    changes["proxy"] = instances.proxy.standing() if instances.proxy else None
    if promotes:
        live, goal = state["live"], state["goal"]
    else:
        live = instances.live()
        goal = instances.goal(live) if instances.specs else "web"
    state = transaction.update(step=step, service=spec, lease=lease, live=live, goal=goal, **changes)
    transaction.sync()
    agent.guardian = guardian.start(agent.app.folder, transaction.path("guardian.log"), agent.lock_fd)
    return state


def remember_files(app, state, spec):
    """Return the service with the manager's files that the release was deployed with; a rollback brings them back."""
    path = app.release(state["release"], ".handrail", "files.json")
    if state.get("kind") == "rollback":
        return with_files(spec, read_json(path))
    write_atomic(path, json.dumps(files_of(spec)), 0o644)
    write_atomic(app.release(state["release"], ".handrail", "told.json"), json.dumps(told_by(spec)), 0o644)
    return spec


def told_by(spec):
    """Return where a release is told to answer, by instance, and the proxy's file that goes with it.

    Its launcher has the port in it, so this holds for as long as the release is there, whatever is declared later.
    """
    if not spec:
        return {}
    names = ("port", "health", "health_status", "health_timeout", "health_interval")
    instances = {"web": spec, **(spec.get("slots") or {})}
    told = {name: {key: one[key] for key in names if key in one} for name, one in instances.items()}
    return dict(told, proxy=spec.get("proxy"))


def must_be_undecided(transaction):
    if transaction.decision():
        raise Refused("returned", "this host has already decided to %s" % transaction.decision())


def dismiss_guardian(agent, at_once=False):
    """Wait until the guardian has ended: it shares the lock, which must be free when we say so.

    ``at_once``: after a commit there is nothing left for it to do, and it may not even have begun.
    """
    if agent.guardian is not None:
        if at_once:
            agent.guardian.kill()
        agent.guardian.wait(5)


def verify(agent, _request, _payload):
    """Wait until the new release proves that it runs and is healthy, or say why it does not."""
    transaction = Transaction(agent.app)
    state = transaction.state()
    instances = Instances(agent.app, state.get("service"))
    goal = state.get("goal") or "web"
    if instances.release(goal) != state["release"]:
        raise Refused("unhealthy", "%s points at %s" % (goal, instances.release(goal) or "nothing"))
    service = instances.service(goal)
    if not service:
        return {"health": None}
    report = service.wait_until_healthy(state["release"], agent.stop)
    if not report["ok"]:
        raise Refused("unhealthy", report["why"], lines=service.last_words())
    return report


def switch(agent, _request, _payload):
    """Send the traffic to the verified instance, and watch it with traffic before anybody decides."""
    must_hold_lock(agent)
    transaction = Transaction(agent.app)
    state = transaction.state()
    instances = Instances(agent.app, state.get("service"))
    service = instances.service(state["goal"])
    with transaction.acting():
        must_be_undecided(transaction)
        transaction.update(step="switching")
        if instances.proxy:
            instances.proxy_for(state["goal"]).point(state["goal"])
        agent.app.switch(state["release"])
        switched = time.monotonic()
    deadline = time.monotonic() + instances.spec.get("watch", 0.0)
    while True:
        report = service.look(state["release"])
        if not report["ok"]:
            raise Refused("unhealthy", "with traffic: %s" % report["why"], lines=service.last_words())
        if time.monotonic() >= deadline or agent.stop.wait(0.25):
            break
    with transaction.acting():
        if not transaction.decision():
            transaction.update(step="switched")
    return {"switched_ago": round(time.monotonic() - switched, 4), "health": report["health"]}


def retire(agent, request, _payload):
    """After a commit: let the requests in the instances that no longer serve end, and stop those."""
    if agent.lock_fd is None and agent.joined:
        # The guardian that held it for us has ended with the commit.
        take(agent, 5.0)
    must_hold_lock(agent)
    instances = Instances(agent.app, request["service"])
    if not instances.specs:
        return {"retired": []}
    live = instances.live()
    if instances.release(live) != agent.app.current_release():
        raise Refused("bad-request", "%s serves %s" % (live, instances.release(live) or "nothing"))
    retired = instances.others(live)
    for name in retired:
        old = instances.service(name)
        old.drain(request["drain"])
        old.end()
    return {"retired": retired}
