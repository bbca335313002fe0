"""Rolling deploys over three hosts, with systemd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.host import wait_until
from handrail.testing.project import DeployProject, finish

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def third_container_host(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerHost]:
    with ContainerHost(tmp_path_factory.mktemp("container-c"), name="container-c") as host:
        yield host


@pytest.fixture
def fleet(
    container_host: ContainerHost, second_container_host: ContainerHost, third_container_host: ContainerHost
) -> list[ContainerHost]:
    return [container_host, second_container_host, third_container_host]


def rolling(new_project, fleet: list[ContainerHost], **more: object) -> DeployProject:
    test = {"strategy": "rolling", "batches": [1, "100%"], **more}
    project: DeployProject = new_project(*fleet, test=test, service={"health_timeout": 2})
    project.release("one")
    project.deploy()
    return project


def test_a_failure_in_the_first_batch_never_reaches_the_others(new_project, fleet: list[ContainerHost]) -> None:
    project = rolling(new_project, fleet)
    pids = [host["service"]["pid"] for host in project.status()["hosts"]]
    fleet[0].run("echo two > ~/sick")
    project.release("two")

    document = project.deploy(expect=5)

    assert document["error"]["host"] == "container-a"
    assert project.served() == ["one", "one", "one"]
    after = project.status()
    assert after["state"] == "ok"
    assert [host["service"]["pid"] for host in after["hosts"]][1:] == pids[1:], "they were never restarted"
    states = [host["state"] for host in document["hosts"]]
    assert states[0].startswith("returned to")
    assert all(state.startswith("still serves") for state in states[1:])


def test_a_host_that_fails_within_the_budget_is_left_out_and_catches_up(
    new_project, fleet: list[ContainerHost]
) -> None:
    project = rolling(new_project, fleet, max_failed=1)
    fleet[1].run("echo two > ~/sick")
    project.release("two")

    document = project.deploy()

    assert set(document["left_out"]) == {"container-b"}
    assert project.served() == ["two", "one", "two"]
    status = project.status()
    assert status["state"] == "mixed"
    assert set(status["behind"]) == {"container-b"}
    assert status["behind"]["container-b"].startswith(f"was left out of {document['release']} on ")

    project.release("three")
    project.deploy()
    assert project.served() == ["three", "three", "three"]
    assert project.status()["behind"] == {}


def test_more_failures_than_the_budget_return_every_host(new_project, fleet: list[ContainerHost]) -> None:
    project = rolling(new_project, fleet, max_failed=1)
    for host in fleet[1:]:
        host.run("echo two > ~/sick")
    project.release("two")

    project.deploy(expect=5)

    assert project.served() == ["one", "one", "one"]
    assert project.status()["state"] == "ok"


def test_a_host_that_is_away_is_skipped_only_on_request_and_named_until_it_catches_up(
    new_project, fleet: list[ContainerHost]
) -> None:
    project = rolling(new_project, fleet)
    project.release("two")
    fleet[2].run_as_root("systemctl stop ssh.socket ssh.service")

    refused = project.deploy(expect=3)
    assert refused["error"]["host"] == "container-c"
    assert project.served()[:2] == ["one", "one"]

    document = project.deploy("--skip-unreachable")
    assert set(document["left_out"]) == {"container-c"}

    fleet[2].run_as_root("systemctl start ssh.service")
    status = project.status()
    assert status["state"] == "mixed"
    assert set(status["behind"]) == {"container-c"}
    assert status["behind"]["container-c"].startswith(f"was left out of {document['release']} on ")

    caught_up = project.deploy("--catch-up")

    assert [host["host"] for host in caught_up["hosts"]] == ["container-c"]
    assert project.served() == ["two", "two", "two"]
    assert project.status()["state"] == "ok"


def test_a_machine_that_dies_within_the_budget_is_left_out_and_returns_by_its_lease(
    new_project, fleet: list[ContainerHost]
) -> None:
    project = rolling(new_project, fleet, max_failed=1, lease=4)
    project.release("two")
    text = (project.folder / "serve.py").read_text()
    project.write("serve.py", f"import dying\n{text}")
    project.write(
        "dying.py",
        "import pathlib, time\n"
        "home = pathlib.Path.home()\n"
        "while (home / 'dies').exists():\n"
        "    (home / 'reached').touch()\n"
        "    time.sleep(0.02)\n",
    )
    project.commit("a machine may die")
    dying = fleet[1]
    dying.run("touch ~/dies")
    process = project.start("deploy", "--env", "test", "--yes", "--json")
    try:
        wait_until(lambda: dying.run("ls ~/reached", check=False).stdout or process.poll() is not None, "it", 60)
        dying.run_as_root("systemctl stop ssh.socket ssh.service; pkill -9 -f '^sshd: deploy'; true")
        done = finish(process)
    finally:
        dying.run_as_root("rm -f /home/deploy/dies /home/deploy/reached; systemctl start ssh.service")
    assert done.returncode == 0, done
    document = done.document
    assert set(document["left_out"]) == {"container-b"}
    assert project.served() == ["two", "one", "two"]
    status = project.status()
    assert (status["state"], list(status["behind"])) == ("mixed", ["container-b"])
    project.deploy("--catch-up")
    assert project.served() == ["two", "two", "two"]
