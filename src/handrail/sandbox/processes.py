"""Which processes belong to a sandbox, asked of the system and not of a file."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

MARK = "HANDRAIL_SANDBOX"
"""Environment variable of everything that runs in a sandbox: the sandbox's folder."""


@dataclass(frozen=True)
class Process:
    """A running process; ``command`` is its command line."""

    pid: int
    command: str


def lock_holder(lock: Path) -> int:
    """Return the id of the process that holds ``lock``, 0 when nobody does, -1 when it has not said who it is."""
    try:
        fd = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return 0
    except BlockingIOError:
        text = os.read(fd, 32).strip()
        return int(text) if text.isdigit() else -1
    finally:
        os.close(fd)


def take_lock(lock: Path, seconds: float = 1.0) -> int | None:
    """Return a descriptor that holds ``lock`` until this process ends, or None when another process holds it.

    Tries for some ``seconds``, because `lock_holder` takes the lock for an instant.
    """
    fd = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(fd)
                return None
            time.sleep(0.02)
            continue
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd


def members(folder: Path) -> list[Process]:
    """Return the running processes of the sandbox in ``folder``, without this process and its parent."""
    mark = os.fsencode(f"{MARK}={folder}")
    found = _from_proc(mark) if Path("/proc/self/environ").exists() else _from_ps(mark)
    return [process for process in found if process.pid not in (os.getpid(), os.getppid())]


def _from_proc(mark: bytes) -> list[Process]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        except OSError:
            # It ended meanwhile, or belongs to another user.
            continue
        found.append(Process(int(entry.name), command))
    return sorted(found, key=lambda process: process.pid)


def _from_ps(mark: bytes) -> list[Process]:
    """macOS: the environment stands behind the command line, without a separator."""
    listed = subprocess.run(["ps", "axeww", "-o", "pid=,command="], stdout=subprocess.PIPE, check=False)
    found = []
    for line in listed.stdout.splitlines():
        if mark + b" " in line + b" ":
            pid, _, command = line.strip().partition(b" ")
            found.append(Process(int(pid), command.decode("utf-8", "replace").split(f" {MARK}=")[0]))
    return found


def end_members(folder: Path, *, patience: float = 5.0) -> list[Process]:
    """End all processes of a sandbox: politely, and after ``patience`` seconds by force. Returns who they were."""
    ended: dict[int, Process] = {}
    deadline = time.monotonic() + patience
    while left := members(folder):
        late = time.monotonic() > deadline
        for process in left:
            if late or process.pid not in ended:
                _signal(process.pid, signal.SIGKILL if late else signal.SIGTERM)
            ended[process.pid] = process
        if time.monotonic() > deadline + patience:
            break
        time.sleep(0.05)
    return list(ended.values())


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
