from __future__ import annotations

import signal

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.host import wait_until
from handrail.testing.project import finish
from handrail.testing.sshd import SshdHost

pytestmark = pytest.mark.integration

DEPLOY = ("deploy", "--env", "test", "--yes", "--json")


def test_of_two_deploys_at_once_exactly_one_wins(
    new_project, container_host: ContainerHost, second_container_host: ContainerHost
) -> None:
    project = new_project(container_host, second_container_host)
    project.release("one")
    project.pause_at("before_activate")
    first, second = project.start(*DEPLOY), project.start(*DEPLOY)
    # The winner waits at its hook, so the loser meets the lock whatever the timing.
    wait_until(lambda: first.poll() is not None or second.poll() is not None, "one of two deploys to give up", 60)
    loser, winner = (first, second) if first.poll() is not None else (second, first)
    lost = finish(loser)
    (project.folder / "client" / "paused-before_activate.go").touch()
    won = finish(winner)
    assert (lost.returncode, won.returncode) == (7, 0), f"{lost}\n{won}"
    assert "locked by" in lost.stderr
    assert project.served() == ["one", "one"]


def test_a_deploy_to_other_hosts_does_not_meet_the_lock(
    new_project, container_host: ContainerHost, second_container_host: ContainerHost
) -> None:
    project = new_project(container_host, second_container_host)
    project.release("one")
    mark = project.pause_at("before_activate")
    first = project.start(*DEPLOY, "--hosts", container_host.name)
    wait_until(mark.exists, "the first deploy to reach its hook", 60)
    mark.with_name(f"{mark.name}.go").touch()
    second = project.inv(*DEPLOY, "--hosts", second_container_host.name)
    assert (finish(first).returncode, second.returncode) == (0, 0), second


def test_a_waiting_deploy_gets_the_lock_when_the_other_ends(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host)
    project.release("one")
    mark = project.pause_at("before_activate")
    first = project.start(*DEPLOY)
    wait_until(mark.exists, "the first deploy to reach its hook", 60)
    second = project.start(*DEPLOY, "--wait", "60")
    status = project.status()
    assert status["hosts"][0]["lock"]["held"] is True
    assert status["hosts"][0]["lock"]["holder"]["what"]
    mark.with_name(f"{mark.name}.go").touch()
    done, waited = finish(first), finish(second)
    assert (done.returncode, waited.returncode) == (0, 0), f"{done}\n{waited}"
    assert waited.document["previous"] == done.document["release"]


def test_what_a_dry_run_left_and_nobody_here_may_delete_is_in_no_deploys_way(
    new_project, container_host: ContainerHost
) -> None:
    project = new_project(container_host)
    folder = f"{container_host.home}/apps/{project.app}/rehearsal"
    project.release("one")
    project.deploy()
    container_host.run_as_root(f"mkdir -p {folder}/0-abc/data && touch {folder}/0-abc/data/file {folder}/undo.json")
    project.release("two")
    done = project.inv(*DEPLOY)
    assert done.returncode == 0, done
    assert project.served() == ["two"]
    assert f"{folder}, which a dry run left, cannot be deleted" in done.stderr
    container_host.run_as_root(f"rm -r {folder}")
    project.release("three")
    assert "dry run" not in project.inv(*DEPLOY).stderr


def test_an_abort_ends_what_is_abandoned_and_no_living_deploy(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host, test={"lease": 4})
    project.release("one")
    project.deploy()
    mark = project.pause_at("after_activate")
    project.release("two")
    living = project.start(*DEPLOY)
    wait_until(mark.exists, "the deploy to reach its hook", 60)
    refused = project.inv("deploy", "--env", "test", "--abort")
    assert (refused.returncode, "locked by" in refused.stderr) == (7, True), refused
    mark.with_name(f"{mark.name}.go").touch()
    done = finish(living)
    assert done.returncode == 0, done
    assert project.served() == ["two"]

    mark.with_name(f"{mark.name}.go").unlink()
    project.configure(test={"lease": 60})
    mark = project.pause_at("after_activate")
    project.release("three")
    dead = project.start(*DEPLOY)
    wait_until(mark.exists, "the deploy to reach its hook", 60)
    dead.kill()
    dead.communicate()
    aborted = project.inv("deploy", "--env", "test", "--abort")
    assert aborted.returncode == 0, aborted
    assert project.served() == ["two"]


def test_what_is_interrupted_after_the_commit_is_no_failure(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host)
    mark = project.pause_at("after_commit")
    project.release("one")
    process = project.start(*DEPLOY)
    wait_until(mark.exists, "the hook that comes after the commit", 60)
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.returncode, done.document["result"]) == (0, "good"), done
    assert f"interrupted after the commit: {done.document['release']} stays" in done.stderr
    assert project.served() == ["one"]
