"""Requests that end a transaction: keep the new release, or bring back the old one."""

import contextlib
import functools
import json
import os
import time

from handrail.agent.activating import dismiss_guardian
from handrail.agent.files import read_text, write_atomic
from handrail.agent.holding import end_held
from handrail.agent.locking import is_held, lock_state, take
from handrail.agent.protocol import ACTIVE, ping_interval
from handrail.agent.refusal import Refused
from handrail.agent.transaction import Transaction, commit_history
from handrail.agent.uploading import record_aborted


def commit(agent, request, _payload):
    """Decide to keep the new release, unless the lease has already decided otherwise."""
    began = time.monotonic()
    transaction = Transaction(agent.app)
    state = transaction.state()
    if not state or state["deploy"] != request["deploy"]:
        done = [e for e in agent.app.history() if e.get("deploy") == request["deploy"]]
        if done and done[-1].get("result") == "good":
            return {"entry": done[-1]}
        raise Refused("returned", "this host has already returned to %s" % (agent.app.current_release() or "nothing"))
    told = {name: request[name] for name in ("missing", "canary") if request.get(name)}
    if told:
        with transaction.acting():
            transaction.update(**told)
    if transaction.decide("commit") != "commit":
        outcome = await_outcome(agent, transaction, request["deploy"])
        raise Refused("returned", "this host has already returned to %s" % (outcome["serves"] or "nothing"))
    times = request.get("times") or {}
    times.setdefault("seconds", {})["commit"] = round(time.monotonic() - began, 3)
    entry = commit_history(agent.app, transaction, times)
    if request.get("fleet"):
        # It only helps to notice later that a host was taken out: a full disk must not make a commit fail.
        with contextlib.suppress(OSError):
            fleet = {"deploy": state["deploy"], "hosts": request["fleet"]}
            write_atomic(agent.app.path("fleet.json"), json.dumps(fleet))
    dismiss_guardian(agent, at_once=True)
    return {"entry": entry}


def return_(agent, request, _payload):
    """Bring back the release that served before; or, before activation, forget the new one."""
    transaction = Transaction(agent.app)
    state = transaction.state()
    if not state or state["deploy"] != request["deploy"]:
        return {"serves": agent.app.current_release(), "ok": True, "why": ""}
    if state["step"] in ACTIVE or state["step"] == "returned":
        if request.get("canary"):
            with transaction.acting():
                transaction.spare(lambda: transaction.update(canary=request["canary"]))
        transaction.spare(lambda: write_atomic(transaction.path("reason"), request.get("reason", "")))
        with contextlib.suppress(OSError):
            write_atomic(transaction.path("times"), json.dumps(request.get("times") or {}))
        if transaction.decide("return") == "commit":
            raise Refused("committed", "this host has already committed %s" % state["release"])
        outcome = await_outcome(agent, transaction, request["deploy"])
    else:
        if agent.lock_fd is None:
            # The agent that held it died with its connection, and the client came back on another one.
            take(agent, 5.0)
            state = transaction.state()
            if not state or state["deploy"] != request["deploy"]:
                return {"serves": agent.app.current_release(), "ok": True, "why": ""}
        end_held(agent.app, state)
        result, reason = request.get("result", "aborted"), request.get("reason", "")
        if state.get("kind") == "rollback":
            record_aborted(agent, state, result, reason, request.get("times"))
        else:
            record = functools.partial(record_aborted, agent, state, result, reason, request.get("times"))
            agent.app.make_room(state["release"], record)
        outcome = {"serves": agent.app.current_release(), "ok": True, "why": ""}
    dismiss_guardian(agent)
    if outcome["ok"]:
        if (transaction.state() or {}).get("deploy") == request["deploy"]:
            transaction.finish()
        if agent.lock_fd is not None:
            # What cannot be deleted, the next run tells of.
            agent.app.sweep()
    return outcome


def expect_dead(agent, request, _payload):
    """Refuse where a living client renews the lease of an activated deploy; changes nothing."""
    transaction = Transaction(agent.app)
    state = transaction.state()
    if state and state["deploy"] == request["deploy"] and state["step"] in ACTIVE and is_renewed(transaction, state):
        raise Refused("locked", "the deploy is alive", holder=lock_state(agent)["holder"])
    return {}


def is_renewed(transaction, state):
    """Watch for as long as it may take whether a living client renews the lease."""
    path = transaction.path("lease")

    def stamp():
        try:
            return os.stat(path).st_mtime_ns
        except OSError:
            return None

    before, until = stamp(), time.monotonic() + 1.5 * ping_interval(state.get("lease") or 0.0)
    while before is not None and time.monotonic() < until:
        if stamp() != before:
            # Also where the journal is gone: whoever ended it was alive.
            return True
        time.sleep(0.05)
    return False


def await_outcome(agent, transaction, deploy):
    """Wait for the guardian's return; do it here if the guardian is not there any more."""
    while True:
        state = transaction.state() or {}
        if state.get("deploy") != deploy:
            # Whoever took the lock from the guardian has ended it, and may be at something of his own.
            entry = ([e for e in agent.app.history() if e.get("deploy") == deploy] or [{}])[-1]
            serves = agent.app.current_release()
            return {"serves": serves, "ok": entry.get("result") != "return-failed", "why": entry.get("reason", "")}
        if state.get("outcome"):
            return state["outcome"]
        alive = agent.guardian.is_alive() if agent.guardian else agent.lock_fd is None and is_held(agent)
        if not alive:
            state = transaction.state() or {}
            return state.get("outcome") or transaction.perform_return(read_text(transaction.path("reason")))
        time.sleep(0.05)
