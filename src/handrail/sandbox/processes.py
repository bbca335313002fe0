"""Which processes belong to a sandbox, asked of the system and not of a file."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from handrail.processes import Process, end_marked, marked

MARK = "HANDRAIL_SANDBOX"
"""Environment variable of everything that runs in a sandbox: the sandbox's folder."""


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
    return marked(MARK, str(folder))


def end_members(folder: Path, *, patience: float = 5.0) -> list[Process]:
    """End all processes of a sandbox: politely, and after ``patience`` seconds by force. Returns who they were."""
    return end_marked(MARK, str(folder), patience=patience)
