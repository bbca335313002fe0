"""Periodic jobs: at their times, one run at a time, of the release that serves, gone with their declaration."""

from __future__ import annotations

from typing import Any

import pytest

from handrail.testing.host import Host, wait_until
from handrail.testing.tiny import TinyProject

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# Writes down that it began and that it ended by itself; a file says until when it works, and with what it ends.
JOB = """\
import os, pathlib, time

app, release = os.environ["HANDRAIL_APP"], os.environ["HANDRAIL_RELEASE"]
log, orders = (pathlib.Path.home() / f"{app}.{name}" for name in ("runs", "orders"))

def tell(word):
    with log.open("a") as stream:
        stream.write(f"{word} {release}\\n")

print("working as", release, flush=True)
tell("began")
until, code = orders.read_text().split() if orders.exists() else ("now", 0)
while until == "for-ever" or until == "switch" and os.readlink("../../current").endswith(release):
    time.sleep(0.05)
tell("ended")
raise SystemExit(int(code))
"""


@pytest.fixture
def project(new_project, host: Host) -> TinyProject:
    table = {"command": "python3 job.py", "schedule": "30 3 1 1 *", "stop_timeout": 20}
    made: TinyProject = new_project(host, **{"processes.nightly": table})
    made.write("job.py", JOB)
    return made


def runs(project: TinyProject, host: Host) -> list[str]:
    return host.run(f"cat ~/{project.app}.runs", check=False).stdout.splitlines()


def job(project: TinyProject) -> dict[str, Any]:
    status = project.status()
    assert status["state"] == "ok", status
    (row,) = status["hosts"][0]["processes"]
    found: dict[str, Any] = row
    return found


def begin(project: TinyProject) -> None:
    done = project.inv("job.run", "nightly", "--env", "test")
    assert done.returncode == 0, done


def test_a_job_follows_the_release_that_serves(project: TinyProject, host: Host) -> None:
    project.release("one")
    first = project.deploy()["release"]
    found = job(project)
    assert found["next"] % 86400 == 3.5 * 3600, "at 03:30 UTC"
    assert (found["last"], found["running_release"]) == (None, first)
    assert runs(project, host) == [], "a deploy is no time to run"

    # A run in progress meets a deploy: it may end by itself, which this one does after the switch.
    host.run(f"echo switch 0 > ~/{project.app}.orders")
    begin(project)
    wait_until(lambda: runs(project, host), "the run to begin")
    done = project.inv("job.run", "nightly", "--env", "test")
    assert done.returncode == 3, done
    assert "runs already" in done.stderr
    project.release("two")
    second = project.deploy()["release"]
    assert runs(project, host) == [f"began {first}", f"ended {first}"]

    # It runs the new release from now on, and how it ended is told.
    host.run(f"echo now 3 > ~/{project.app}.orders")
    begin(project)
    wait_until(lambda: (job(project)["last"] or {}).get("code") == 3, "its end to be told")
    assert job(project)["last"]["release"] == second
    assert runs(project, host)[2:] == [f"began {second}", f"ended {second}"]
    shown = project.inv("status", "--env", "test")
    assert "the last run of nightly ended with exit code 3" in shown.stdout + shown.stderr, shown
    assert f"working as {second}" in project.inv("logs", "--env", "test", "--process", "nightly").stdout

    project.rollback()
    assert job(project)["running_release"] == first

    del project.tables["processes.nightly"]
    project.configure()
    project.release("four")
    project.deploy()
    assert project.status()["hosts"][0]["processes"] == []
    left = host.run(
        f"ls /etc/systemd/system ~/.supervisor/include 2>/dev/null | grep {project.app}-nightly", check=False
    )
    assert left.stdout == ""


def test_what_was_missed_is_made_up_for_once_and_a_run_without_end_is_stopped(
    new_project, container_host: Host
) -> None:
    table = {"command": "python3 job.py", "schedule": "30 3 1 1 *", "stop_timeout": 1}
    project: TinyProject = new_project(container_host, **{"processes.nightly": table})
    project.write("job.py", JOB)
    stamp = f"/var/lib/systemd/timers/stamp-{project.app}-nightly.timer"
    container_host.run(f"sudo install -D /dev/null {stamp} && sudo touch -d '2 years ago' {stamp}")
    container_host.run(f"echo for-ever 0 > ~/{project.app}.orders")
    project.release("one")
    first = project.deploy()["release"]
    wait_until(lambda: runs(project, container_host), "the missed run to begin")
    project.release("two")
    project.deploy()
    assert runs(project, container_host) == [f"began {first}"], "it was stopped, and not begun again"
    assert job(project)["last"]["code"] == -15


def test_a_job_runs_on_the_first_host_alone(new_project, container_host: Host, second_container_host: Host) -> None:
    table = {"command": "python3 job.py", "schedule": "@daily"}
    project: TinyProject = new_project(container_host, second_container_host, **{"processes.nightly": table})
    project.write("job.py", JOB)

    def where() -> list[str]:
        return [row["host"] for row in project.status()["hosts"] if row["processes"]]

    project.release("one")
    project.deploy()
    assert where() == [container_host.name]
    begin(project)
    wait_until(lambda: len(runs(project, container_host)) == 2, "the run")
    assert project.inv("logs", "--env", "test", "--process", "nightly").returncode == 0

    # It moves with the order of the hosts.
    project.configure(test={"hosts": [second_container_host.name, container_host.name]})
    project.release("two")
    project.deploy()
    assert where() == [second_container_host.name]
