"""The host's deploy lock: flock(2), which the kernel frees when its last holder dies."""

import contextlib
import fcntl
import json
import os
import time

from handrail.agent import leftovers
from handrail.agent.files import read_json
from handrail.agent.machine import is_writable, user_name
from handrail.agent.protocol import ACTIVE
from handrail.agent.refusal import Refused
from handrail.agent.schema import is_migrating
from handrail.agent.transaction import Transaction, public_state
from handrail.agent.workers import read_scale


def lock_state(agent):
    held = is_held(agent) or is_migrating(agent.app)
    return {"held": held, "holder": read_json(agent.app.path("lock")) if held else None}


def is_held(agent):
    """Whether somebody lives who has the lock, such as a guardian; a migration whose agent was killed is nobody."""
    if agent.lock_fd is not None:
        return True
    try:
        fd = os.open(agent.app.path("lock"), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(fd)


def lock(agent, request, _payload):
    """Take the host's deploy lock; then finish what a dead deploy left.

    ``gently``: only where that changes nothing, because there is a lock's file and nothing to finish; else the answer
    is ``{"taken": False}``. So it can travel with a request that may find that this host is to be left alone.
    """
    if request.get("gently") and not os.path.isfile(agent.app.path("lock")):
        return {"taken": False}
    if not is_writable(agent.app.folder):
        raise Refused("os", "%s cannot be written by user %s" % (agent.app.folder, user_name()))
    agent.app.make_folders()
    take(agent, request.get("wait", 0))
    if request.get("gently") and has_something_to_finish(agent.app):
        unlock(agent, request, b"")
        return {"taken": False}
    os.ftruncate(agent.lock_fd, 0)
    os.pwrite(agent.lock_fd, json.dumps(request["holder"]).encode(), 0)
    left = leftovers.sweep(agent.app)
    recovered = Transaction(agent.app).recover()
    state = Transaction(agent.app).state()
    history = agent.app.history()
    return {
        "taken": True,
        "recovered": recovered,
        "left": left,
        "transaction": public_state(state),
        "number": agent.app.last_number(history),
        "current": agent.app.current_release(),
        "scale": read_scale(agent.app),
        "newest": history[-1].get("finished") if history else None,
    }


def has_something_to_finish(app):
    left = Transaction(app).state()
    return bool(left and left["step"] not in ("returned", "held")) or os.path.isdir(app.path(leftovers.NAME))


def take(agent, wait):
    """Take the lock, waiting up to ``wait`` seconds for whoever holds it; None: not at all.

    A migration whose agent was killed holds it, too.
    """
    if agent.lock_fd is not None:
        return  # it is ours: a committed host that has to go back is asked again
    fd = os.open(agent.app.path("lock"), os.O_RDWR | os.O_CREAT, 0o644)
    # Half a second at least: `inv status` probes the lock for an instant.
    deadline = time.monotonic() + (-1 if wait is None else max(0.5, wait))
    try:
        while not try_to_take(agent.app, fd):
            if time.monotonic() > deadline or agent.gone.is_set():
                state = Transaction(agent.app).state()
                raise Refused(
                    "locked",
                    "the deploy lock is held",
                    holder=read_json(agent.app.path("lock")),
                    transaction=public_state(state),
                    migrating=is_migrating(agent.app),
                )
            time.sleep(0.05)
    except BaseException:
        os.close(fd)
        raise
    agent.lock_fd = fd


def try_to_take(app, fd):
    """Try to take the lock now; return whether it is ours."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if is_migrating(app):
        fcntl.flock(fd, fcntl.LOCK_UN)
        return False
    return True


def unlock(agent, _request, _payload):
    if agent.lock_fd is not None:
        os.close(agent.lock_fd)
        agent.lock_fd = None
    return {}


def rejoin(agent, request, _payload):
    """Go on with an activated transaction whose agent ended with its connection; its lease is renewed again.

    The guardian, which shares the dead agent's lock, holds it for this one, until somebody decides.
    """
    state = Transaction(agent.app).state()
    if agent.lock_fd is None and state and state["deploy"] == request["deploy"] and state["step"] in ACTIVE:
        if is_held(agent):
            agent.joined = state["deploy"]
            Transaction(agent.app).renew_lease()
        else:
            # Without a guardian it goes on under a lock of its own; whoever was quicker has ended the transaction.
            with contextlib.suppress(Refused):
                take(agent, None)
    return {}


def must_hold_lock(agent):
    if agent.lock_fd is None and not agent.has_joined():
        raise Refused("bad-request", "the deploy lock is not held")
