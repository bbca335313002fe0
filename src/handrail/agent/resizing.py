"""Another number of a server's workers without a restart: gunicorn and uvicorn add one on SIGTTIN, end one on SIGTTOU.

To a process that does not catch them, these signals mean "stop". So nothing is sent before the process itself says, in
/proc, that it catches both, and that it has as many workers as it should.
"""

import os
import signal
import time

from handrail.agent.processes import command_line, process_environment, told

SERVERS = ("gunicorn", "uvicorn")
# Seconds that a server may take to notice a signal and to start a worker.
PATIENCE = 10.0


def resize(pid, known, wanted, stop_timeout):
    """Bring a server to ``wanted`` workers; return "" where that is done, else why it cannot be done so.

    Args:
        pid: the server's main process.
        known: how many workers it should have now; 0: what its environment says.
        stop_timeout: seconds that a worker may take to finish its requests.
    """
    name = server_name(pid)
    if not name:
        return "its main process is neither gunicorn nor uvicorn"
    if not catches(pid, signal.SIGTTIN) or not catches(pid, signal.SIGTTOU):
        return "this %s does not take signals for it, as with a single worker or before uvicorn 0.30" % name
    known = known or int((process_environment(pid) or {}).get("WEB_CONCURRENCY") or 1)
    count = len(workers(pid))
    if count != known:
        return "%s has %d workers where %d were expected" % (name, count, known)
    while count != wanted:
        step = 1 if wanted > count else -1
        os.kill(pid, signal.SIGTTIN if step > 0 else signal.SIGTTOU)
        # One at a time: of two signals of a kind that wait, the kernel delivers one.
        deadline = time.monotonic() + PATIENCE + (stop_timeout if step < 0 else 0)
        while len(workers(pid)) != count + step:
            if time.monotonic() > deadline:
                return "%s has %d workers after it was told to have %d" % (name, len(workers(pid)), count + step)
            time.sleep(0.02)
        count += step
    return ""


def server_name(pid):
    # gunicorn may have given itself a title, "gunicorn: master [shop]"; else it is a script, or a module after -m.
    words = command_line(pid).split()[:4]
    names = [os.path.basename(word).rstrip(":") for word in words]
    return next((name for name in names if name in SERVERS), "")


def catches(pid, number):
    """Tell whether a process has a handler for a signal."""
    for line in told(pid, "status").splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def workers(pid):
    """Return the ids of a server's worker processes that have not ended."""
    found = []
    for entry in os.listdir("/proc"):
        # "pid (name) state parent": the name may hold spaces and brackets.
        fields = told(entry, "stat").rpartition(")")[2].split() if entry.isdigit() else []
        if len(fields) < 2 or int(fields[1]) != pid or fields[0] == "Z":
            continue
        # uvicorn's multiprocessing has a helper of its own.
        if "resource_tracker" not in command_line(entry):
            found.append(int(entry))
    return found
