"""Background workers follow the release: drained, started again, and brought back with it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from handrail.testing.host import Host, wait_until
from handrail.testing.tiny import TinyProject

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# Works on a job all the time, and finishes the one that it has when it is asked to stop.
WORKER = """\
import os, pathlib, signal, time

log = pathlib.Path.home() / (os.environ["HANDRAIL_APP"] + ".jobs")
stopping = False

def stop(*_):
    global stopping
    stopping = True

signal.signal(signal.SIGTERM, stop)
print("working as", os.environ["HANDRAIL_RELEASE"], flush=True)
while True:
    for _ in range(5):
        time.sleep(0.1)
    if stopping:
        with log.open("a") as stream:
            stream.write("finished\\n")
        break
"""


@pytest.fixture
def project(new_project, host: Host) -> TinyProject:
    made: TinyProject = new_project(host, **{"processes.worker": {"command": "python3 work.py", "instances": 2}})
    made.write("work.py", WORKER)
    return made


def running(project: TinyProject) -> Counter[tuple[str, str]]:
    """Return how many instances run, by process and the release that they report."""
    status: dict[str, Any] = project.status()
    assert status["state"] == "ok", status
    return Counter((each["process"], each["running_release"]) for each in status["hosts"][0]["processes"])


def test_workers_follow_a_deploy_a_failure_and_a_rollback(project: TinyProject, host: Host) -> None:
    project.release("one")
    first = project.deploy()["release"]
    assert running(project) == {("worker", first): 2}

    host.run(f"rm -f ~/{project.app}.jobs")
    project.release("two")
    second = project.deploy()["release"]
    assert running(project) == {("worker", second): 2}
    assert host.run(f"cat ~/{project.app}.jobs").stdout.split() == ["finished"] * 2, "each finished its job"

    project.write("work.py", "raise SystemExit('no queue')")
    project.release("three")
    document = project.deploy(expect=5)
    assert "worker" in document["error"]["message"]
    assert project.served() == ["two"]
    assert running(project) == {("worker", second): 2}

    project.rollback()
    assert running(project) == {("worker", first): 2}


def test_numbers_are_changed_and_kept(project: TinyProject, host: Host) -> None:
    def concurrency() -> str:
        pid = project.status()["hosts"][0]["service"]["pid"]
        words = host.run(f"tr '\\0' '\\n' < /proc/{pid}/environ").stdout.splitlines()
        return next((word.partition("=")[2] for word in words if word.startswith("WEB_CONCURRENCY=")), "")

    project.release("one")
    first = project.deploy()["release"]
    done = project.inv("scale", "--env", "test", "web=4", "worker=3")
    assert done.returncode == 0, done
    assert running(project) == {("worker", first): 3}
    assert concurrency() == "4"

    project.release("two")
    second = project.deploy()["release"]
    assert running(project) == {("worker", second): 3}
    assert concurrency() == "4"

    pids = {each["name"]: each["pid"] for each in project.status()["hosts"][0]["processes"]}
    assert project.inv("scale", "--env", "test", "worker=1").returncode == 0
    left = project.status()["hosts"][0]["processes"]
    assert [each["pid"] for each in left] == [pids[left[0]["name"]]], "the one that stays goes on working"

    del project.tables["processes.worker"]
    project.configure()
    project.release("three")
    project.deploy()
    assert running(project) == {}
    gone = f"kill -0 {left[0]['pid']}"
    wait_until(lambda: host.run(gone, check=False).returncode != 0, "the worker to be gone", 10)


def test_words_that_cannot_be_meant_are_one_line(project: TinyProject) -> None:
    project.release("one")
    done = project.inv("scale", "--env", "test", "workre=2")
    assert done.returncode == 2
    assert "did you mean 'worker'?" in done.stderr
    done = project.inv("scale", "--env", "test", "worker=many")
    assert done.returncode == 2
    assert "expected a number" in done.stderr
