"""What runs on this machine and what listens: Linux's /proc, elsewhere ps and lsof."""

import os
import re

from handrail.agent.commands import run
from handrail.agent.files import read_text

# States of a TCP socket, as the kernel writes them.
ESTABLISHED, LISTENING = "01", "0A"
TABLES = "/proc/net/tcp", "/proc/net/tcp6"


def process_environment(pid):
    """Return a process's start-up environment as a dict, or None where this user may not read it."""
    try:
        with open("/proc/%d/environ" % pid, "rb") as stream:
            raw = stream.read()
        pairs = (item.partition(b"=") for item in raw.split(b"\0") if item)
        return {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, _, v in pairs}
    except OSError:
        pass
    if os.path.isdir("/proc/self"):
        return None
    code, lines = run(["ps", "eww", "-o", "command=", "-p", str(pid)], 5)
    if code != 0:
        return None
    found = re.findall(r"\b(HANDRAIL_[A-Z]+)=(\S+)", " ".join(lines))
    return dict(found)


def process_folder(pid):
    try:
        return os.readlink("/proc/%d/cwd" % pid)
    except OSError:
        pass
    if os.path.isdir("/proc/self"):
        return ""
    _, lines = run(["lsof", "-a", "-p", str(pid), "-d", "cwd", "-Fn"], 5)
    return next((line[1:] for line in lines if line.startswith("n")), "")


def told(pid, name):
    """Return a text of /proc about a process, "" where there is none: it may just have ended."""
    try:
        return read_text("/proc/%s/%s" % (pid, name))
    except OSError:
        return ""


def command_line(pid):
    """Return the words with which a process was started, or those that it shows instead; "" where they are hidden."""
    return told(pid, "cmdline").replace("\0", " ").strip()


def sees_as_we_do(pid):
    """Tell whether a process shares this one's view of the file system; False where that cannot be known."""
    try:
        return os.readlink("/proc/%d/ns/mnt" % pid) == os.readlink("/proc/self/ns/mnt")
    except OSError:
        return False


def tcp_sockets(table, text=""):
    """Yield the fields of the lines that hold a text in one of the kernel's tables of TCP sockets, as they are read."""
    try:
        with open(table, encoding="ascii", errors="replace") as stream:
            next(stream, "")
            for line in stream:
                if text in line:
                    yield line.split()
    except OSError:
        return


def is_at(fields, port, state):
    """Tell whether a line of `tcp_sockets` is of a local port and in a state."""
    return fields[3] == state and int(fields[1].rsplit(":", 1)[1], 16) == port


def listening_sockets(port):
    """Yield the lines of `tcp_sockets` that listen on a port.

    The kernel tells those that listen first. What follows are the connections, tens of thousands on a busy host, which
    would cost visitors the processor: they are read only while nothing was found.
    """
    found = False
    for table in TABLES:
        for fields in tcp_sockets(table):
            if is_at(fields, port, LISTENING):
                found = True
                yield fields
            elif found and fields[3] != LISTENING:
                break


def leads_to(link):
    try:
        return os.readlink(link)
    except OSError:
        return ""


def listeners(port):
    """Return pids that listen on a TCP port, or None where that cannot be seen."""
    inodes = {"socket:[%s]" % fields[9] for fields in listening_sockets(port)}
    if not os.path.isdir("/proc/self"):
        code, lines = run(["lsof", "-nP", "-iTCP:%d" % port, "-sTCP:LISTEN", "-t"], 5)
        return [int(line) for line in lines if line.isdigit()] if code in (0, 1) else None
    if not inodes:
        return [] if any(os.access(table, os.R_OK) for table in TABLES) else None
    pids = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with os.scandir("/proc/%s/fd" % entry) as descriptors:
                if any(leads_to(fd.path) in inodes for fd in descriptors):
                    pids.append(int(entry))
        except OSError:
            continue
    # Somebody listens whose descriptors this user may not read: that is "unknown", not "nobody".
    return pids or None


def connections_to(port):
    """Return how many connections to a loopback port are open, on the listener's side."""
    lines = (fields for table in TABLES for fields in tcp_sockets(table, ":%04X " % port))
    return sum(is_at(fields, port, ESTABLISHED) for fields in lines)


def listening_uid(port):
    """Return whose socket listens on a TCP port, which is told even where the process is hidden; None for nobody's."""
    return next((int(fields[7]) for fields in listening_sockets(port)), None)
