"""Nothing is sent to a process that would be stopped by it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from handrail.agent.resizing import resize, workers

pytestmark = pytest.mark.unit

# As gunicorn does: one more on SIGTTIN; with "deaf" it catches nothing, with "idle" it changes nothing.
SERVER = """\
import signal, subprocess, sys, time
children = []
def more(*_):
    children.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
def less(*_):
    child = children.pop()
    child.kill()
    child.wait()
for _ in range(2):
    more()
if "deaf" not in sys.argv:
    idle = "idle" in sys.argv
    signal.signal(signal.SIGTTIN, (lambda *_: None) if idle else more)
    signal.signal(signal.SIGTTOU, (lambda *_: None) if idle else less)
print("ready", flush=True)
try:
    sys.stdin.read()
finally:
    for child in children:
        child.kill()
        child.wait()
"""
Start = Callable[..., int]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def begin(name: str, *words: str) -> int:
        (tmp_path / name).write_text(SERVER)
        argv = [sys.executable, tmp_path / name, *words]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        return process.pid

    yield begin
    for process in running:
        process.communicate()
        assert process.returncode == 0, "a signal ended it"


def test_a_server_gets_its_workers_one_by_one_in_both_directions(start: Start) -> None:
    pid = start("gunicorn")
    assert resize(pid, 2, 5, 1) == ""
    assert len(workers(pid)) == 5
    assert resize(pid, 5, 1, 1) == ""
    assert len(workers(pid)) == 1


@pytest.mark.parametrize(
    ("name", "word", "known", "said"),
    [
        ("server", "", 2, "its main process is neither gunicorn nor uvicorn"),
        ("uvicorn", "deaf", 2, "this uvicorn does not take signals for it"),
        ("gunicorn", "", 3, "gunicorn has 2 workers where 3 were expected"),
        ("gunicorn", "", 0, "gunicorn has 2 workers where 1 were expected"),
        ("gunicorn", "idle", 2, "gunicorn has 2 workers after it was told to have 3"),
    ],
)
def test_where_it_cannot_be_done_nothing_happens_and_the_reason_is_told(
    start: Start, monkeypatch: pytest.MonkeyPatch, name: str, word: str, known: int, said: str
) -> None:
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    monkeypatch.setattr("handrail.agent.resizing.PATIENCE", 0.2)
    pid = start(name, word)
    assert said in resize(pid, known, 4, 0)
    assert len(workers(pid)) == 2
