"""Who runs in a sandbox is asked of the system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from handrail.sandbox.processes import MARK, end_members, lock_holder, members, take_lock

pytestmark = pytest.mark.unit


def start(folder: Path, code: str = "import sys; print(1, flush=True); sys.stdin.read()") -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, MARK: str(folder)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"1\n"
    return process


def finish(process: subprocess.Popen[bytes]) -> int:
    process.kill()
    process.communicate()
    return process.returncode


def test_a_lock_that_nobody_ever_took_has_no_holder(tmp_path: Path) -> None:
    assert lock_holder(tmp_path / "lock") == 0


def test_the_holder_of_a_lock_is_known_by_its_process_id(tmp_path: Path) -> None:
    fd = take_lock(tmp_path / "lock")
    assert fd is not None

    assert lock_holder(tmp_path / "lock") == os.getpid()
    os.close(fd)


def test_a_process_id_left_in_a_free_lock_means_nothing(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(f"{os.getpid()}\n")

    assert lock_holder(tmp_path / "lock") == 0


def test_a_lock_is_taken_once(tmp_path: Path) -> None:
    fd = take_lock(tmp_path / "lock")
    assert fd is not None

    assert take_lock(tmp_path / "lock", seconds=0) is None
    os.close(fd)


def test_members_are_found_by_the_folder_in_their_environment(tmp_path: Path) -> None:
    ours, other = start(tmp_path / "a"), start(tmp_path / "ab")
    try:
        assert [process.pid for process in members(tmp_path / "a")] == [ours.pid]
    finally:
        finish(ours)
        finish(other)


def test_members_end_when_they_are_asked_to(tmp_path: Path) -> None:
    process = start(tmp_path)
    # Its zombie has no environment, so it is no member before it is waited for.
    assert [ended.pid for ended in end_members(tmp_path)] == [process.pid]
    assert finish(process) == -15


def test_a_member_that_is_deaf_to_the_request_is_killed(tmp_path: Path) -> None:
    deaf = "import signal, sys; signal.signal(15, signal.SIG_IGN); print(1, flush=True); sys.stdin.read()"
    process = start(tmp_path, deaf)

    end_members(tmp_path, patience=0.1)

    assert finish(process) == -9


def test_nothing_to_end_is_fine(tmp_path: Path) -> None:
    assert end_members(tmp_path) == []
