"""A host that has committed when another one fails: it is rolled back, or the card says what it serves."""

from __future__ import annotations

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.tiny import TinyProject

pytestmark = pytest.mark.integration


@pytest.fixture
def project(new_project, container_host: ContainerHost, second_container_host: ContainerHost) -> TinyProject:
    made: TinyProject = new_project(container_host, second_container_host)
    made.release("one")
    return made


def before_commit(project: TinyProject, on_first: str = "true") -> None:
    """Let the second host return just before the commit, as when its lease had run out."""
    first, second = (host.name for host in project.hosts)
    state = f"apps/{project.app}/tx"
    returned = f"printf return > {state}/decision; until grep -q returned {state}/state.json; do sleep 0.05; done"
    project.write(
        "client/before-commit.sh",
        f"ssh -F client/ssh_config {second} '{returned}'\nssh -F client/ssh_config {first} '{on_first}'\n",
    )
    project.configure(hooks={"before_commit": ["sh client/before-commit.sh"]})


def test_a_host_that_has_committed_goes_back_with_the_others(project: TinyProject) -> None:
    project.deploy()
    project.release("two")
    before_commit(project)
    assert project.deploy(expect=5)["result"] == "failed"
    assert project.served() == ["one", "one"]
    assert project.status()["state"] == "ok"


def test_a_host_that_cannot_go_back_is_told_of_with_the_command_that_brings_it_back(project: TinyProject) -> None:
    first = project.deploy()["release"]
    project.release("two")
    before_commit(project, "echo one > ~/sick")
    done = project.inv("deploy", "--env", "test", "--yes", "--json")
    assert done.returncode == 6, done
    second = done.document["release"]
    assert project.served() == ["two", "one"]
    told = done.document["hosts"][0]
    assert told["to"] == second
    assert told["state"].startswith(f"current is {second}, which it was told to keep: GET /healthz answered 503")
    assert "its lease" not in done.stderr
    host = project.hosts[0]
    command = f"inv rollback --env test --hosts {host.name} --to {first}"
    assert command in done.stderr

    host.run("rm ~/sick")
    project.configure(hooks={"before_commit": []})
    back = project.inv(*command.split()[1:], "--yes")
    assert back.returncode == 0, back
    assert project.served() == ["one", "one"]
    assert project.status()["state"] == "ok"


def test_a_host_whose_first_release_has_been_committed_keeps_it_and_is_told_of(project: TinyProject) -> None:
    before_commit(project)
    done = project.inv("deploy", "--env", "test", "--yes", "--json")
    assert done.returncode == 6, done
    assert project.served() == ["one", ""]
    assert "which it was told to keep: it had no release before" in done.document["hosts"][0]["state"]
    assert "inv deploy --env test" in done.stderr
    project.configure(hooks={"before_commit": []})
    project.deploy()
    assert project.served() == ["one", "one"]
