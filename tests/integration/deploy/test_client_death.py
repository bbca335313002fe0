from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.host import wait_until
from handrail.testing.project import DeployProject, finish
from handrail.testing.sshd import SshdHost

pytestmark = pytest.mark.integration

DEPLOY = ("deploy", "--env", "test", "--yes", "--json")


def start_and_wait(project: DeployProject, moment: str) -> subprocess.Popen[str]:
    mark = project.pause_at(moment)
    process = project.start(*DEPLOY)
    wait_until(lambda: mark.exists() or process.poll() is not None, f"the deploy to reach {moment}", 60)
    assert process.poll() is None, finish(process)
    return process


def kill(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def lock_is_free(project: DeployProject) -> bool:
    return not any(host["lock"]["held"] for host in project.status()["hosts"])


def test_a_client_killed_before_activation_leaves_the_old_release_and_a_free_lock(
    new_project, container_host: ContainerHost, second_container_host: ContainerHost
) -> None:
    project = new_project(container_host, second_container_host)
    project.release("one")
    project.deploy()
    project.release("two")
    kill(start_and_wait(project, "before_activate"))
    wait_until(lambda: lock_is_free(project), "the lock to be free", 10)
    assert project.served() == ["one", "one"]

    project.configure(hooks={"before_activate": []})
    project.release("three")
    assert project.deploy()["result"] == "good"
    assert project.served() == ["three", "three"]


def test_a_client_killed_after_activation_lets_the_hosts_return_by_themselves(
    new_project, container_host: ContainerHost, second_container_host: ContainerHost
) -> None:
    project = new_project(container_host, second_container_host, test={"lease": 2})
    project.release("one")
    first = project.deploy()["release"]
    project.release("two")
    process = start_and_wait(project, "after_activate")
    assert project.served() == ["two", "two"]
    kill(process)
    killed = time.monotonic()
    wait_until(lambda: project.served() == ["one", "one"], "both hosts to return", 15)
    assert time.monotonic() - killed < 8
    wait_until(lambda: lock_is_free(project), "the lock to be free", 10)
    status = project.status()
    assert status["state"] == "ok"
    assert {host["running_release"] for host in status["hosts"]} == {first}

    project.configure(hooks={"after_activate": []})
    project.release("three")
    assert project.deploy()["previous"] == first
    assert project.served() == ["three", "three"]


def test_a_lease_is_kept_alive_by_a_living_client(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host, test={"lease": 1})
    project.release("one")
    process = start_and_wait(project, "before_commit")
    (project.folder / "client" / "commit-at").write_text(str(time.monotonic() + 2.5))
    wait_until(lambda: time.monotonic() > float((project.folder / "client" / "commit-at").read_text()), "2.5 s", 5)
    (project.folder / "client" / "paused-before_commit.go").touch()
    assert finish(process).returncode == 0
    assert project.served() == ["one"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["before_activate", "after_activate"])
def test_an_interrupted_client_returns_the_hosts_before_it_ends(
    new_project, sshd_host: SshdHost, moment: str, number: signal.Signals
) -> None:
    project = new_project(sshd_host)
    project.release("one")
    project.deploy()
    project.release("two")
    process = start_and_wait(project, moment)
    os.kill(process.pid, number)
    done = finish(process)
    assert done.returncode == 130, done
    assert "Traceback" not in done.stderr
    assert project.served() == ["one"]
    assert lock_is_free(project)
