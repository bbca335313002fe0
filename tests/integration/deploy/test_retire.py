"""A host that is taken out: everybody is told that it goes on running, and one command ends it."""

from __future__ import annotations

from typing import Any

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.host import Host, wait_until
from handrail.testing.project import DeployProject, Finished

pytestmark = [pytest.mark.integration, pytest.mark.slow]

WORKER = "import time\nwhile True:\n    time.sleep(1)\n"
PROCESSES: dict[str, Any] = {
    "processes.worker": {"command": "python3 worker.py", "stop_timeout": 1},
    "processes.nightly": {"command": "python3 worker.py", "schedule": "30 3 1 1 *", "hosts": "all"},
}


def make(new_project: Any, *hosts: Host, **tables: Any) -> DeployProject:
    project: DeployProject = new_project(*hosts, **PROCESSES, **tables)
    project.write("worker.py", WORKER)
    project.release("one")  # type: ignore[attr-defined]
    project.deploy()
    return project


def retire(project: DeployProject, host: Host, *words: str) -> Finished:
    return project.inv("host.retire", "--env", "test", "--hosts", host.name, *words)


def left_of(host: Host, app: str) -> str:
    """Return the manager's files of an app, and what runs from its folder."""
    files = f"ls -d /etc/systemd/system/*{app}-* /etc/systemd/system/*.wants/{app}-* ~/.supervisor/include/{app}-*"
    running = f"for p in /proc/[0-9]*; do readlink $p/cwd; done | grep {app}/"
    return host.run(f"({files}; {running}) 2>/dev/null", check=False).stdout


def test_nothing_of_a_retired_host_runs_and_the_next_deploy_starts_it_again(new_project, host: Host) -> None:
    project = make(new_project, host)
    assert left_of(host, project.app)
    done = retire(project, host, "--json")
    assert done.returncode == 0, done
    (row,) = done.document["hosts"]
    assert row["declared"] is True
    ended = [name.removeprefix(f"{project.app}-") for name in row["ended"]]
    assert [name.partition(".")[0].rstrip("-@1") for name in sorted(ended)] == ["nightly", "web", "worker"]
    assert left_of(host, project.app) == ""
    assert project.status()["state"] == "down"
    again = retire(project, host)
    assert "nothing of this app runs there" in again.stdout
    assert "the next deploy starts it again" in again.stdout + again.stderr
    project.deploy()
    assert project.served() == ["one"]  # type: ignore[attr-defined]
    assert project.status()["state"] == "ok"


def test_a_host_that_is_no_longer_declared_is_named_until_the_next_deploy(
    new_project, container_host: ContainerHost, second_container_host: ContainerHost
) -> None:
    blue_green = {"strategy": "blue-green", "proxy": {"kind": "caddy", "site": ":8087"}, "watch": 0.1}
    for each in (container_host, second_container_host):
        each.run_as_root("systemctl start caddy")
    project = make(new_project, container_host, second_container_host, test=blue_green)
    project.release("two")
    project.deploy("--hold")

    project.hosts = [container_host]
    project.configure()
    name = second_container_host.name
    told = f"{name} is no longer in hosts of test: unless it was retired, its service and jobs go on there"
    assert project.status()["taken_out"] == [name]
    for words in (["status"], ["deploy", "--plan"]):
        shown = project.inv(*words, "--env", "test")
        assert (shown.returncode, told in shown.stdout + shown.stderr) == (0, True), shown
    deployed = project.inv("deploy", "--env", "test", "--yes")
    assert told in deployed.stdout + deployed.stderr, deployed
    assert project.status()["taken_out"] == [], "it is told until there was a deploy without it"

    done = retire(project, second_container_host)
    assert done.returncode == 0, done
    assert left_of(second_container_host, project.app) == "", "nor what was held there"
    assert left_of(container_host, project.app)

    project.hosts = [container_host, second_container_host]
    project.configure()
    project.release("three")
    project.deploy()
    assert [each.get(8087).json()["version"] for each in project.hosts] == ["three", "three"]
    assert project.status()["state"] == "ok"
    for each in project.hosts:
        each.run_as_root("rm -f /etc/caddy/handrail/*; systemctl reload caddy")


def test_what_cannot_be_a_host_is_refused(new_project, host: Host) -> None:
    project = new_project(host)
    for words, why in ((",", "expected the hosts to retire"), ("web 3", "expected [user@]host[:port]")):
        done = project.inv("host.retire", "--env", "test", "--hosts", words)
        assert (done.returncode, why in done.stderr) == (2, True), done


def test_a_host_with_an_unfinished_deploy_can_be_retired(new_project, host: Host) -> None:
    project = make(new_project, host)
    mark = project.pause_at("before_activate")  # type: ignore[attr-defined]
    project.release("two")  # type: ignore[attr-defined]
    process = project.start("deploy", "--env", "test", "--yes")
    wait_until(lambda: mark.exists() or process.poll() is not None, "the pause", 60)
    process.kill()
    process.communicate()
    done = retire(project, host)
    assert done.returncode == 0, done
    assert left_of(host, project.app) == ""
    assert project.status()["hosts"][0]["transaction"] is None
