"""Running processes by a mark in their environment: children of children keep it, whatever session they are in."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A running process; ``command`` is its command line."""

    pid: int
    command: str


def marked(name: str, value: str) -> list[Process]:
    """Return the running processes whose environment has ``name=value``, without this process and its parent."""
    mark = os.fsencode(f"{name}={value}")
    found = _from_proc(mark) if Path("/proc/self/environ").exists() else _from_ps(mark, name)
    return [process for process in found if process.pid not in (os.getpid(), os.getppid())]


def end_marked(name: str, value: str, *, patience: float = 5.0) -> list[Process]:
    """End those processes: politely, and after ``patience`` seconds by force. Returns who they were."""
    ended: dict[int, Process] = {}
    deadline = time.monotonic() + patience
    while left := marked(name, value):
        late = time.monotonic() > deadline
        for process in left:
            if late or process.pid not in ended:
                _signal(process.pid, signal.SIGKILL if late else signal.SIGTERM)
            ended[process.pid] = process
        if time.monotonic() > deadline + patience:
            break
        time.sleep(0.05)
    return list(ended.values())


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


def _from_ps(mark: bytes, name: str) -> list[Process]:
    """macOS: the environment stands behind the command line, without a separator."""
    listed = subprocess.run(["ps", "axeww", "-o", "pid=,command="], stdout=subprocess.PIPE, check=False)
    found = []
    for line in listed.stdout.splitlines():
        if mark + b" " in line + b" ":
            pid, _, command = line.strip().partition(b" ")
            found.append(Process(int(pid), command.decode("utf-8", "replace").split(f" {name}=")[0]))
    return found


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
