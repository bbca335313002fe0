"""A release that waits: it runs in the idle slot, proved and without traffic, until somebody promotes it.

Nothing guards it and no lease runs: ``tx/state.json`` says ``held``, the lock is free, the old release serves. It ends
with its promotion, with ``--abort``, or with whatever begins next on this host.
"""

import time

from handrail.agent.activating import dismiss_guardian
from handrail.agent.instances import Instances
from handrail.agent.locking import must_hold_lock
from handrail.agent.refusal import Refused
from handrail.agent.transaction import Transaction, finish_hold, public_state


def hold(agent, request, _payload):
    """Leave the verified release without traffic and dismiss the guardian, unless the lease has decided otherwise."""
    must_hold_lock(agent)
    transaction = Transaction(agent.app)
    state = transaction.state()
    if not state or state["deploy"] != request["deploy"] or state["step"] != "activated":
        raise Refused("returned", "this host has already returned to %s" % (agent.app.current_release() or "nothing"))
    service = Instances(agent.app, state.get("service")).service(state["goal"])
    with transaction.acting():
        transaction.update(
            held={"who": request["who"], "since": time.time(), "slot": state["goal"], "port": service.spec["port"]},
            missing=request.get("missing") or {},
        )
    if transaction.decide("hold") != "hold":
        raise Refused("returned", "this host has already decided to %s" % transaction.decision())
    dismiss_guardian(agent)
    agent.guardian = None
    return {"state": public_state(finish_hold(agent.app, transaction, request.get("times")))}


def end_held(app, state):
    """Stop the instance of a held release for good; what else it left, `App.sweep` deletes."""
    if state and state.get("step") == "held":
        Instances(app, state.get("service")).service(state["goal"]).retire()


def look_at_held(app):
    """Return what is held here and whether it is well, or None."""
    state = Transaction(app).state()
    if not state or state.get("step") != "held":
        return None
    report = Instances(app, state.get("service")).service(state["goal"]).look(state["release"])
    held = {key: state.get(key) for key in ("release", "deploy", "commit", "bundle")}
    held.update(state["held"], ok=report["ok"], why=report["why"])
    return held
