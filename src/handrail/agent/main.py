"""Where the agent begins, and the requests that it serves."""

import os
import signal
import sys
from importlib import import_module

from handrail.agent.wire import Agent

# By module: one that is not asked for is not loaded.
OPERATIONS = {
    "examining": ["examine"],
    "looking": ["hello", "status", "logs", "release_facts"],
    "maintaining": ["maintenance"],
    "preflight": ["preflight"],
    "locking": ["lock", "rejoin", "unlock"],
    "uploading": ["begin", "offer", "put"],
    "preparing": ["prepare", "migrate"],
    "lowering": ["lower"],
    "activating": ["activate", "verify", "switch", "retire"],
    "measuring": ["split", "measure"],
    "settling": ["settle", "scale", "begin_job"],
    "holding": ["hold"],
    "deciding": ["commit", "expect_dead", "return"],
    "exporting": ["export", "fetch", "note"],
    "leaving": ["leave"],
}
MODULES = {name: module for module, names in OPERATIONS.items() for name in names}


def operation(name):
    """Return the function that serves a request: called with the agent, the request and its bytes."""
    # "return" is a word of Python's own.
    return getattr(import_module("handrail.agent." + MODULES[name]), {"return": "return_"}.get(name, name))


def main(stdin):
    """Serve one client over this input and standard output."""
    serve(stdin, operation)


def serve(stdin, operation_of, at_end=None):
    """Serve one client until it goes; ``at_end`` is called with the agent then, while the lock is still held."""
    for number in (signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o022)
    agent = Agent(operation_of, stdin, sys.stdout.buffer)
    agent.serve()
    if at_end:
        at_end(agent)
    # The reader thread may sit in a read for ever: an ordinary exit would wait for its buffer's lock.
    os._exit(0)
