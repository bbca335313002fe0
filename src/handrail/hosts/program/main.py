"""Where the program begins, and the requests that it serves."""

import os
import signal
import sys

from handrail.agent.wire import Agent
from handrail.hosts.program import doing, looking

OPERATIONS = {"look": looking.look, "do": doing.do}


def main(stdin):
    """Serve one client over this input and standard output."""
    for number in (signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o022)
    os.environ.update(LC_ALL="C", PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    Agent(OPERATIONS.__getitem__, stdin, sys.stdout.buffer).serve()
    # The reader thread may sit in a read for ever: an ordinary exit would wait for its buffer's lock.
    os._exit(0)
