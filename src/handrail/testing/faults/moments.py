"""Moments: an agent on a container host, stopped at a step of its journal.

A watcher in the container reads the journal without a pause and stops the agent (SIGSTOP) as soon as the step is there,
so that a fault strikes at this very step and the product needs no code for it. It stops a child with it that the agent
has just forked, and that child may be another program by then: what goes on later are the processes that were stopped.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from handrail.testing.host import wait_until

if TYPE_CHECKING:
    from typing_extensions import Self

    from handrail.testing.container import ContainerHost

AGENT, GUARDIAN = "agent", "guardian"

_FIND = """
import json, os, signal, sys, threading, time

# In two parts, because this text is on a command line, too.
WORD = b"handrail" + b"-agent"

def find(who):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open("/proc/%s/cmdline" % entry, "rb") as stream:
                    is_ours = WORD in stream.read()
                with open("/proc/%s/comm" % entry) as stream:
                    # A guardian is a fork of its agent: the same command line, another name.
                    is_guardian = stream.read().strip() == "handrail-guard"
            except OSError:
                continue
            if is_ours and is_guardian == (who == "guardian"):
                found.append(int(entry))
    return found
"""

_WATCH = (
    _FIND
    + """
path, old, steps, delay = sys.argv[2], sys.argv[3], sys.argv[4].split(","), float(sys.argv[5])
decision = os.path.join(os.path.dirname(path), "decision")

def read():
    try:
        with open(path) as stream:
            return stream.read()
    except OSError:
        return None

def is_reached():
    text = read()
    if steps == ["changed"]:
        return text != before
    try:
        state = json.loads(text or "{}")
    except ValueError:
        return False
    step = "decided" if os.path.exists(decision) else state.get("step")
    return state.get("deploy") != old and step in steps

def leave_with_the_test():
    sys.stdin.read()
    os._exit(0)

threading.Thread(target=leave_with_the_test, daemon=True).start()
before = read()
print("ready", flush=True)
while True:
    # Half a millisecond: the steps last longer, and the machine has other work.
    time.sleep(0.0005)
    if is_reached():
        time.sleep(delay)
        stopped = find(sys.argv[1])
        for pid in stopped:
            try:
                os.kill(pid, signal.SIGSTOP)
            except ProcessLookupError:
                pass
        print("reached", *stopped, flush=True)
        break
"""
)

_SIGNAL = (
    _FIND
    + """
for pid in {*find(sys.argv[1]), *map(int, sys.argv[3:])}:
    try:
        os.kill(pid, int(sys.argv[2]))
        print(pid)
    except ProcessLookupError:
        pass
"""
)


class Watcher:
    """Stops the agents of a host at the first of some steps; ``reached`` is set when it has, `go_on` undoes it.

    Args:
        path: the journal of an app, ``<folder>/tx/state.json``, or another file of which the first change counts.
        old: id of the deploy whose journal does not count, because it was there before.
        steps: of the journal; ``decided`` is the moment between the decision and the end of the journal. Only
            ``changed`` for another file.
        delay: seconds from the step to the stop.
    """

    def __init__(self, host: ContainerHost, path: str, old: str, steps: Sequence[str], delay: float = 0.0) -> None:
        self.reached = threading.Event()
        self.stopped: list[int] = []
        self._host = host
        program = ["docker", "exec", "--interactive", host.container, "python3", "-c", _WATCH]
        words = [AGENT, path, old, ",".join(steps), str(delay)]
        self._process = subprocess.Popen([*program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        wait_until(self._ready.is_set, "the watcher", 20)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def go_on(self) -> None:
        """Let everything go on that was stopped, whatever program it has become."""
        # A number that is another process's by now does no harm: it was not stopped.
        send(self._host, AGENT, signal.SIGCONT, self.stopped)
        # A guardian that had just been forked from the agent was stopped with it.
        send(self._host, GUARDIAN, signal.SIGCONT)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, *numbers = line.split()
            self.stopped += map(int, numbers)
            (self._ready if word == "ready" else self.reached).set()


def send(host: ContainerHost, who: str, number: int, also: Sequence[int] = ()) -> int:
    """Send a signal to the agents (`AGENT`) or guardians (`GUARDIAN`) of a host; return how many got it.

    ``also``: ids of further processes that get it.
    """
    done = subprocess.run(
        ["docker", "exec", host.container, "python3", "-c", _SIGNAL, who, str(int(number)), *map(str, also)],
        capture_output=True,
        text=True,
        check=True,
    )
    return len(done.stdout.split())
