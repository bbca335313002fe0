"""Where the agent begins, and the requests that it serves."""

import os
import signal
import sys

from handrail.agent import (
    activating,
    deciding,
    holding,
    locking,
    looking,
    lowering,
    maintaining,
    measuring,
    preflight,
    preparing,
    settling,
    uploading,
)
from handrail.agent.wire import Agent

OPERATIONS = {
    "hello": looking.hello,
    "status": looking.status,
    "logs": looking.logs,
    "maintenance": maintaining.maintenance,
    "release_facts": looking.release_facts,
    "preflight": preflight.preflight,
    "lock": locking.lock,
    "unlock": locking.unlock,
    "begin": uploading.begin,
    "offer": uploading.offer,
    "put": uploading.put,
    "prepare": preparing.prepare,
    "migrate": preparing.migrate,
    "lower": lowering.lower,
    "activate": activating.activate,
    "verify": activating.verify,
    "split": measuring.split,
    "measure": measuring.measure,
    "switch": activating.switch,
    "settle": settling.settle,
    "hold": holding.hold,
    "retire": activating.retire,
    "commit": deciding.commit,
    "return": deciding.return_,
    "scale": settling.scale,
}


def main():
    """Serve one client over standard input and output."""
    serve(OPERATIONS)


def serve(operations, at_end=None):
    """Serve one client until it goes; ``at_end`` is called with the agent then, while the lock is still held."""
    for number in (signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o022)
    agent = Agent(operations, sys.stdin.buffer, sys.stdout.buffer)
    agent.serve()
    if at_end:
        at_end(agent)
    # The reader thread may sit in a read for ever: an ordinary exit would wait for its buffer's lock.
    os._exit(0)
