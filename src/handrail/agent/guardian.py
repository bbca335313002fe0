"""The guardian: a detached copy of the agent that returns when nobody decides.

It is forked from the agent, not started: what a second Python would have to load is there already, and nothing on the
disk, which may be full or lost by then, is needed for it. Of the agent's threads none goes on in it, and of its
descriptors only the lock's.
"""

import os
import signal
import time

from handrail.agent.app import App
from handrail.agent.files import read_text
from handrail.agent.transaction import Transaction

NAME = "handrail-guard"
"""What it is called in a list of processes: its command line is the agent's."""
PAUSES = (1.0, 3.0, 6.0)
"""Seconds from one try to return to the next: nobody else may be left to try."""


class Guardian:
    """The guardian, as the agent sees it."""

    def __init__(self, pid):
        self.pid = pid
        self.ended = False

    def is_alive(self):
        if not self.ended:
            try:
                self.ended = os.waitpid(self.pid, os.WNOHANG)[0] == self.pid
            except ChildProcessError:
                self.ended = True
        return not self.ended

    def kill(self):
        if self.is_alive():
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds):
        """Wait until it has ended, ``seconds`` at most."""
        deadline = time.monotonic() + seconds
        while self.is_alive() and time.monotonic() < deadline:
            time.sleep(0.001)


def start(folder, log, lock_fd):
    """Start a guardian of an app's folder, which holds the lock's descriptor and writes to the file ``log``."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        pid = os.fork()
    except OSError:
        os.close(output)
        raise
    if pid:
        os.close(output)
        return Guardian(pid)
    # Nothing may come back from here: the frames above are the agent's.
    code = 1
    try:
        detach(output, lock_fd)
        guard(folder)
        code = 0
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode("utf-8", "replace"))
    finally:
        os._exit(code)


def detach(output, lock_fd):
    os.setsid()
    try:
        with open("/proc/self/comm", "w", encoding="ascii") as stream:
            stream.write(NAME)
    except OSError:
        pass
    os.chdir("/")
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        open_fds = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        open_fds = range(1024)
    for fd in open_fds:
        if fd > 2 and fd != lock_fd:
            try:
                os.close(fd)
            except OSError:
                pass  # what listed them, and is closed already


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
            go_back(transaction, read_text(transaction.path("reason")) or "told to")
            return
        try:
            mark = os.stat(transaction.path("lease")).st_mtime_ns
        except OSError:
            mark = None
        # Only changes of the mark count, never its value: the host's clock may jump.
        if mark != seen:
            seen, heard = mark, time.monotonic()
        if time.monotonic() - heard > lease:
            go_back(transaction, "the lease of %.0f s ran out without a word from the client" % lease)
            return
        time.sleep(0.05)


def go_back(transaction, reason):
    """Return, unless somebody has decided otherwise; what may pass, as a full disk or a limit, gets some time."""
    for pause in (*PAUSES, None):
        try:
            if (transaction.decision() or transaction.decide("return")) == "return":
                transaction.perform_return(reason, is_last=pause is None)
            return
        except Exception as error:
            if pause is None:
                raise
            os.write(2, ("%s: %s; trying again\n" % (type(error).__name__, error)).encode("utf-8", "replace"))
            time.sleep(pause)
