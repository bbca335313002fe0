"""Commands: run to their end or stopped, and how they ended in words."""

import contextlib
import fcntl
import os
import signal
import threading
import time


def run(argv, timeout=120.0, env=None, cwd=None, gone=None, emit=None, keep=(), grace=5.0, outlives=False):
    """Run a command; return (returncode, output lines).

    ``gone``: an event on which the command is stopped; ``emit`` gets each line as it comes;
    ``keep``: descriptors that the command holds open, such as a lock's;
    ``grace``: seconds from SIGTERM to SIGKILL when it is stopped; 0 for what has nothing to clean up;
    ``outlives``: where this process is killed, the command goes on: it writes to a file, and not to a pipe that breaks.
    """
    import subprocess  # a tenth of the agent's start, and not every one runs a command

    output = nameless_file() if outlives else subprocess.PIPE
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,
            pass_fds=keep,
        )
    except OSError as error:
        if outlives:
            os.close(output)
        return 127, ["%s: %s" % (argv[0], os.strerror(error.errno or 0))]
    lines, ended = [], threading.Event()

    def pump():
        with open(output, "rb") if outlives else process.stdout as stream:
            for raw in growing(stream, ended) if outlives else stream:
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
                ended.set()
                if outlives:
                    reader.join()
                lines.append("stopped after %.0f s" % timeout if late else "stopped: no longer wanted")
                return (-signal.SIGALRM if late else -signal.SIGHUP), lines
    ended.set()
    # A daemon that the command left behind may keep the pipe open: do not wait for it for ever.
    reader.join(None if outlives else 1.0)
    return process.returncode, lines


def nameless_file():
    """Return the descriptor of a file that goes with its last user; in memory, where it can be, since disks fill up."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("output", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        import tempfile

        with tempfile.TemporaryFile() as stream:
            fd = os.dup(stream.fileno())
    # Also for what opens /dev/stderr anew, which begins at the front.
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
    return fd


def growing(stream, ended):
    """Yield the lines of a file that others write, as they come, until that has ``ended``."""
    place, line = 0, b""
    while True:
        is_last = ended.is_set()
        if is_last and hasattr(fcntl, "F_ADD_SEALS"):
            # A daemon that the command left behind writes no more: it would fill the memory.
            with contextlib.suppress(OSError):
                fcntl.fcntl(stream.fileno(), fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
        # No further than to what is there now, if one writes all the same.
        size = os.fstat(stream.fileno()).st_size
        # It begins anew where somebody truncates it, as a shell does with `> /dev/stderr`.
        place = min(place, size)
        while place < size:
            # Where it is written is the descriptor's one place, so it must not move by reading.
            data = os.pread(stream.fileno(), min(size - place, 1 << 16), place)
            if not data:
                break
            place += len(data)
            *whole, line = (line + data).split(b"\n")
            yield from whole
        if is_last:
            break
        ended.wait(0.05)
    if line:
        yield line


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
