"""Commands: run to their end or stopped, and how they ended in words."""

import os
import signal
import threading
import time


def run(argv, timeout=120.0, env=None, cwd=None, gone=None, emit=None, keep=(), grace=5.0):
    """Run a command; return (returncode, output lines).

    ``gone``: an event on which the command is stopped; ``emit`` gets each line as it comes;
    ``keep``: descriptors that the command holds open, such as a lock's;
    ``grace``: seconds from SIGTERM to SIGKILL when it is stopped; 0 for what has nothing to clean up.
    """
    import subprocess  # a tenth of the agent's start, and not every one runs a command

    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,
            pass_fds=keep,
        )
    except OSError as error:
        return 127, ["%s: %s" % (argv[0], os.strerror(error.errno or 0))]
    lines = []

    def pump():
        with process.stdout:
            for raw in process.stdout:
                line = raw.decode("utf-8", "replace").rstrip("\n")
                lines.append(line)
                if emit:
                    emit(line)
                del lines[:-2000]

    reader = threading.Thread(target=pump, daemon=True)
    reader.start()
    deadline = time.monotonic() + timeout
    while True:
        try:
            # Short waits at first: most commands here take milliseconds.
            process.wait(0.1)
            break
        except subprocess.TimeoutExpired:
            late = time.monotonic() > deadline
            if late or (gone is not None and gone.is_set()):
                for number in (signal.SIGTERM, signal.SIGKILL) if grace else (signal.SIGKILL,):
                    try:
                        os.killpg(process.pid, number)
                        process.wait(grace or 5.0)
                    except (ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
                        continue
                    break
                lines.append("stopped after %.0f s" % timeout if late else "stopped: no longer wanted")
                return (-signal.SIGALRM if late else -signal.SIGHUP), lines
    # A daemon that the command left behind may keep the pipe open: do not wait for it for ever.
    reader.join(1.0)
    return process.returncode, lines


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number


def how_it_ended(returncode):
    if returncode < 0:
        hint = ": out of memory?" if returncode == -signal.SIGKILL else ""
        return "was killed by signal %d (%s%s)" % (-returncode, signal_name(-returncode), hint)
    if returncode > 128 and returncode - 128 in (
        signal.SIGKILL,
        signal.SIGTERM,
        signal.SIGSEGV,
        signal.SIGABRT,
    ):
        return "exited with %d (%s)" % (returncode, signal_name(returncode - 128))
    return "exited with %d" % returncode
