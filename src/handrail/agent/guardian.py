"""The guardian: a detached copy of the agent that returns when nobody decides."""

import os
import time

from handrail.agent.app import App
from handrail.agent.files import read_text
from handrail.agent.transaction import Transaction


def guard(folder):
    """The guardian: wait for a decision or for the lease to run out; carry out a return.

    It inherits the lock's descriptor, so the lock stays taken until the host is in a decided state.
    """
    app = App(os.path.dirname(folder), os.path.basename(folder))
    transaction = Transaction(app)
    state = transaction.state()
    lease = state["lease"]
    seen, heard = None, time.monotonic()
    while True:
        decision = transaction.decision()
        now = transaction.state() or {}
        if decision in ("commit", "hold") or now.get("step") == "held" or now.get("deploy") != state["deploy"]:
            return
        if decision == "return":
            transaction.perform_return(read_text(transaction.path("reason")) or "told to")
            return
        try:
            mark = os.stat(transaction.path("lease")).st_mtime_ns
        except OSError:
            mark = None
        # Only changes of the mark count, never its value: the host's clock may jump.
        if mark != seen:
            seen, heard = mark, time.monotonic()
        if time.monotonic() - heard > lease:
            if transaction.decide("return") == "return":
                transaction.perform_return("the lease of %.0f s ran out without a word from the client" % lease)
            return
        time.sleep(0.05)
