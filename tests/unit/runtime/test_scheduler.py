"""The process that waits for a job's times, run for real as a release carries it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.runtime import Job, render_job, render_launcher, scheduler
from handrail.testing.host import wait_until

pytestmark = pytest.mark.unit

# Writes down that it began; works until a file appears; says a word; writes down that it ended.
JOB = (
    "import pathlib, time; log = open('../../log', 'a', buffering=1); log.write('began\\n')\n"
    "while not pathlib.Path('../../go').exists(): time.sleep(0.02)\n"
    "print('a word', flush=True)\n"
    "log.write('ended\\n'); raise SystemExit(4)"
)
EVERY_MINUTE = dataclasses.asdict(Job("* * * * *").schedule)
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the scheduler of a job that is due once a year."""
    running: list[subprocess.Popen[bytes]] = []
    folder = tmp_path / "releases" / "1-abc" / ".handrail"
    folder.mkdir(parents=True)
    (tmp_path / "shared" / "log").mkdir(parents=True)
    (folder.parent / "job.py").write_text(JOB)

    def begin(*, patience: float = 20, timeout: float = 0) -> subprocess.Popen[bytes]:
        job = Job("30 3 1 1 *", timeout=timeout)
        place: dict[str, Any] = {"app": "shop", "port": 8000, "release": "1-abc"}
        texts = render_job("nightly", job, patience=patience, **place)
        texts["nightly"] = render_launcher(f"{sys.executable} job.py", process="nightly", **place)
        for name, text in texts.items():
            (folder / f"run-{name}").write_text(text)
            (folder / f"run-{name}").chmod(0o755)
        running.append(subprocess.Popen([folder / "run-nightly.scheduled"], stdout=subprocess.PIPE))
        return running[-1]

    yield begin
    (tmp_path / "go").touch()
    for process in running:
        process.terminate()
        process.wait(20)
        assert process.stdout
        process.stdout.close()


def report(tmp_path: Path) -> dict[str, Any]:
    return report_at(tmp_path / "shared" / "log" / "nightly.json")


def report_at(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def said(tmp_path: Path) -> list[str]:
    return (tmp_path / "log").read_text().split() if (tmp_path / "log").exists() else []


def pending(pid: int) -> int:
    """Return the signals that a process has not taken yet, as bits."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("ShdPnd:")).split()[1], 16)


def miss_a_time(tmp_path: Path) -> None:
    """Make the scheduler believe that it last waited two years ago."""
    path = tmp_path / "shared" / "log" / "nightly.json"
    known = report(tmp_path)
    path.write_text(json.dumps({**known, "waited_until": time.time() - 2 * 366 * 86400}))


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    assert process.wait(20) == 0


def test_it_waits_for_its_time_and_ends_when_it_is_asked_to(start: Start, tmp_path: Path) -> None:
    process = start()
    wait_until(lambda: "next" in report(tmp_path), "the report")
    end(process)
    assert report(tmp_path)["next"] % 86400 == 3.5 * 3600
    assert said(tmp_path) == []


def test_what_was_missed_is_made_up_for_once_and_one_run_goes_on_at_a_time(start: Start, tmp_path: Path) -> None:
    process = start()
    wait_until(lambda: "next" in report(tmp_path), "the report")
    end(process)
    miss_a_time(tmp_path)
    process = start()
    wait_until(lambda: said(tmp_path), "the missed run")
    os.kill(process.pid, signal.SIGUSR1)
    (tmp_path / "go").touch()
    wait_until(lambda: said(tmp_path) == ["began", "ended"] * 2, "the second run, after the first")
    wait_until(lambda: report(tmp_path)["running"] is None, "its end")
    assert (report(tmp_path)["last"]["code"], report(tmp_path)["last"]["release"]) == (4, "1-abc")
    end(process)
    (tmp_path / "shared" / "log" / "nightly.json").write_text(json.dumps({**report(tmp_path), "next": None}))
    process = start()
    wait_until(lambda: report(tmp_path)["next"], "the report")
    end(process)
    assert said(tmp_path) == ["began", "ended"] * 2


def test_a_run_in_progress_may_end_by_itself(start: Start, tmp_path: Path) -> None:
    process = start()
    wait_until(lambda: "next" in report(tmp_path), "the report")
    os.kill(process.pid, signal.SIGUSR1)
    wait_until(lambda: said(tmp_path), "the run")
    process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    (tmp_path / "go").touch()
    assert process.wait(20) == 0
    assert said(tmp_path) == ["began", "ended"]


@pytest.mark.parametrize(("limits", "asks"), [({"patience": 0.1}, True), ({"timeout": 0.1}, False)])
def test_a_run_that_takes_too_long_is_stopped(start: Start, tmp_path: Path, limits: Any, asks: bool) -> None:
    process = start(**limits)
    wait_until(lambda: "next" in report(tmp_path), "the report")
    os.kill(process.pid, signal.SIGUSR1)
    wait_until(lambda: said(tmp_path), "the run")
    if asks:
        process.terminate()
    wait_until(lambda: report(tmp_path).get("last"), "its end")
    assert report(tmp_path)["last"]["code"] == -signal.SIGTERM
    assert said(tmp_path) == ["began"]


def test_a_run_whose_scheduler_was_killed_is_the_next_ones(start: Start, tmp_path: Path) -> None:
    process = start()
    wait_until(lambda: "next" in report(tmp_path), "the report")
    os.kill(process.pid, signal.SIGUSR1)
    wait_until(lambda: said(tmp_path) and report(tmp_path)["running"], "the run")
    began = report(tmp_path)["running"]
    process.kill()
    process.wait()
    # The manager reads the next one's output only.
    assert process.stdout
    process.stdout.close()
    process = start()
    # Begun by the first one; what is asked for now comes after its end.
    assert process.stdout
    assert process.stdout.readline() == b"nightly: a run whose scheduler was killed goes on\n"
    os.kill(process.pid, signal.SIGUSR1)
    wait_until(lambda: pending(process.pid) == 0, "the signal's arrival")
    assert report(tmp_path)["running"] == began
    assert said(tmp_path) == ["began"]
    (tmp_path / "go").touch()
    wait_until(lambda: said(tmp_path) == ["began", "ended"] * 2, "the second run, after the first")
    end(process)
    assert process.stdout.readline() == b"a word\n"
    assert process.stdout.readline().startswith(b"nightly: ended; how,")
    assert process.stdout.read() == b"a word\nnightly: ended with 4\n"


def test_a_run_whose_scheduler_was_killed_is_stopped_by_the_next_one(start: Start, tmp_path: Path) -> None:
    process = start()
    wait_until(lambda: "next" in report(tmp_path), "the report")
    os.kill(process.pid, signal.SIGUSR1)
    wait_until(lambda: said(tmp_path) and report(tmp_path)["running"], "the run")
    run = report(tmp_path)["run"]["pid"]
    process.kill()
    process.wait()
    start(timeout=0.1)
    wait_until(lambda: report(tmp_path).get("last"), "its end")
    assert (report(tmp_path)["last"]["code"], report(tmp_path)["last"]["release"]) == (None, "1-abc")
    assert scheduler.started(run) == ""
    assert said(tmp_path) == ["began"]


def test_another_process_with_the_number_of_a_run_is_no_run(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"run": {"pid": os.getpid(), "started": "1", "began": 1.0, "release": "1-abc"}}))
    job = scheduler.Scheduler("nightly", EVERY_MINUTE, 5, 0, str(path))
    job.adopt()
    assert job.run is None


@pytest.mark.parametrize("system", ["Linux", "macOS"])
def test_a_process_is_known_by_its_start_until_it_ends(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if system == "macOS":
        monkeypatch.setattr(os.path, "isdir", lambda _: False)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        first = scheduler.started(process.pid)
        assert first == scheduler.started(process.pid) != ""
    assert scheduler.started(process.pid) == ""


def test_a_clock_that_is_put_right_keeps_no_job_from_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1_700_000_000.0, time=lambda: clock.now, monotonic=time.monotonic)
    monkeypatch.setattr(scheduler, "time", clock)
    monkeypatch.setattr(signal, "pthread_sigmask", lambda *_: None)
    job = scheduler.Scheduler("nightly", EVERY_MINUTE, 5, 0, str(tmp_path / "report.json"))
    began: list[float] = []
    # Nine hours ahead for two minutes, then right for three.
    steps = [60, 60, -9 * 3600, 60, 60, 60]

    def wait(_seconds: float) -> None:
        clock.now += steps.pop(0)
        job.ending = 0.0 if steps else 1.0

    monkeypatch.setattr(job, "start", lambda: began.append(clock.now))
    monkeypatch.setattr(job, "wait", wait)
    job.work()
    assert [moment > 1_700_000_000 for moment in began] == [True, True, False, False]


def test_a_clock_that_is_put_right_by_seconds_lets_no_job_run_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A second after a whole minute, whose run has just begun.
    clock = SimpleNamespace(now=1_700_000_041.0, time=lambda: clock.now, monotonic=time.monotonic)
    monkeypatch.setattr(scheduler, "time", clock)
    monkeypatch.setattr(signal, "pthread_sigmask", lambda *_: None)
    path = tmp_path / "report.json"
    schedule = json.loads(json.dumps(EVERY_MINUTE))
    path.write_text(json.dumps({"schedule": schedule, "waited_until": clock.now - 60}))
    began: list[float] = []
    steps = [-5.0, 4.0, 60.0, -2.0]

    def work() -> None:
        job = scheduler.Scheduler("nightly", schedule, 5, 0, str(path))

        def wait(_seconds: float) -> None:
            clock.now += steps.pop(0)
            job.ending = 0.0 if len(steps) % 2 else 1.0

        monkeypatch.setattr(job, "start", lambda: began.append(clock.now))
        monkeypatch.setattr(job, "wait", wait)
        job.work()

    # The second one is started while the clock is behind.
    work()
    work()
    assert began == [1_700_000_041.0, 1_700_000_100.0]


def test_a_timeout_is_measured_by_a_clock_that_nobody_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(passed=0.0, time=lambda: 0.0, monotonic=lambda: clock.passed)
    monkeypatch.setattr(scheduler, "time", clock)
    monkeypatch.setattr(scheduler, "await_signal", lambda _seconds: None)
    job = scheduler.Scheduler("nightly", EVERY_MINUTE, 5, 60, str(tmp_path / "report.json"))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: SimpleNamespace(pid=os.getpid(), poll=lambda: None))
    monkeypatch.setattr(job, "stop", lambda: -signal.SIGTERM)
    job.start()
    job.wait(1)
    assert "last" not in report_at(tmp_path / "report.json")
    clock.passed = 61.0
    job.wait(1)
    assert report_at(tmp_path / "report.json")["last"]["code"] == -signal.SIGTERM


def test_a_schedule_that_never_comes_has_no_next_time() -> None:
    schedule = {"minutes": [0], "hours": [0], "days": [30], "months": [2], "weekdays": [*range(7)], "either_day": False}
    assert scheduler.following(schedule, 0.0) is None


@pytest.mark.parametrize("system", ["this one", "macOS"])
def test_a_blocked_signal_is_awaited_also_where_there_is_no_wait_with_a_limit(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system == "macOS":
        monkeypatch.delattr(signal, "sigtimedwait", raising=False)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, scheduler.SIGNALS)
    try:
        assert scheduler.await_signal(0.0) is None
        # To this thread: another one of the test run may not block it.
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        assert scheduler.await_signal(10.0) == signal.SIGUSR1
        assert scheduler.await_signal(0.0) is None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
