"""What a command prints that goes on where the agent is killed: all of it comes, as it comes, and in whole lines."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest

from handrail.agent import commands
from handrail.testing.host import wait_until

pytestmark = pytest.mark.unit


@pytest.fixture(params=["Linux", "macOS"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "macOS":
        monkeypatch.delattr(os, "memfd_create", raising=False)


@pytest.mark.usefixtures("system")
def test_its_lines_come_while_it_runs(tmp_path: Path) -> None:
    go, seen = tmp_path / "go", []

    def emit(line: str) -> None:
        seen.append((line, go.exists()))
        go.touch()

    script = f"echo one; until test -e {go}; do sleep 0.02; done; printf 'two\\nthree' >&2; exit 3"
    assert commands.run(["sh", "-c", script], 10, emit=emit, outlives=True) == (3, ["one", "two", "three"])
    assert seen == [("one", False), ("two", True), ("three", True)]


@pytest.mark.usefixtures("system")
def test_its_last_two_thousand_lines_are_kept_however_slowly_they_are_taken() -> None:
    seen: list[str] = []

    def emit(line: str) -> None:
        seen.append(line)
        # A slow client: the command has long ended when this comes back.
        time.sleep(1.1 if len(seen) == 1 else 0)

    code, lines = commands.run(["seq", "3000"], 10, emit=emit, outlives=True)
    assert (code, len(seen), lines) == (0, 3000, [str(number) for number in range(1001, 3001)])


@pytest.mark.usefixtures("system")
def test_a_daemon_that_writes_on_keeps_nobody_waiting(tmp_path: Path) -> None:
    daemon = f"while echo on 2>/dev/null; do sleep 0.01; done; touch {tmp_path}/gave-up"
    script = f"({daemon}) & echo $! > {tmp_path}/daemon"
    try:
        assert commands.run(["sh", "-c", script], 10, outlives=True)[0] == 0
        if hasattr(os, "memfd_create"):
            wait_until((tmp_path / "gave-up").exists, "the end of what nobody reads")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((tmp_path / "daemon").read_text()), signal.SIGKILL)


def test_what_is_truncated_begins_anew_and_has_no_holes() -> None:
    with tempfile.TemporaryFile() as stream:
        ended = threading.Event()
        lines = commands.growing(stream, ended)
        os.write(stream.fileno(), b"a long line\n")
        assert next(lines) == b"a long line"
        os.ftruncate(stream.fileno(), 0)
        ended.set()
        assert list(lines) == []
    code, lines = commands.run(["sh", "-c", "echo a long line; echo b > /dev/stderr; echo c"], 10, outlives=True)
    assert (code, lines[-2:]) == (0, ["b", "c"])


def test_one_that_takes_too_long_is_stopped_and_its_words_are_kept() -> None:
    code, lines = commands.run(["sh", "-c", "echo one; sleep 60"], 0.2, outlives=True)
    assert (code, lines) == (-signal.SIGALRM, ["one", "stopped after 0 s"])


def test_one_that_is_not_there_is_named() -> None:
    assert commands.run(["/no/such"], outlives=True) == (127, ["/no/such: No such file or directory"])
