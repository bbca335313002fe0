from __future__ import annotations

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.sshd import SshdHost

pytestmark = pytest.mark.integration


def test_a_service_is_deployed_changed_and_rolled_back(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host)
    commit = project.release("one")
    first = project.deploy()
    assert first["result"] == "good"
    assert first["commit"] == commit
    assert project.served() == ["one"]

    project.release("two")
    second = project.deploy()
    assert second["previous"] == first["release"]
    assert project.served() == ["two"]

    back = project.rollback()
    assert back["release"] == first["release"]
    assert project.served() == ["one"]
    assert sshd_host.get(project.port).json()["release"] == first["release"]


def test_status_tells_what_each_host_serves(
    new_project, container_host: ContainerHost, second_container_host: ContainerHost
) -> None:
    project = new_project(container_host, second_container_host)
    project.release("one")
    first = project.deploy()["release"]
    project.release("two")
    second = project.deploy()["release"]

    status = project.status()
    assert status["state"] == "ok"
    assert [host["release"] for host in status["hosts"]] == [second, second]
    assert [host["running_release"] for host in status["hosts"]] == [second, second]
    assert [host["previous"] for host in status["hosts"]] == [first, first]
    assert [host["lock"]["held"] for host in status["hosts"]] == [False, False]

    project.rollback("--hosts", second_container_host.name)
    assert project.served() == ["two", "one"]
    assert project.status()["state"] == "mixed"


def test_one_unhealthy_host_returns_the_whole_fleet(
    new_project, container_host: ContainerHost, second_container_host: ContainerHost
) -> None:
    project = new_project(container_host, second_container_host, service={"health_timeout": 3})
    project.release("one")
    first = project.deploy()["release"]

    second_container_host.run("echo two > ~/sick")
    project.release("two")
    done = project.inv("deploy", "--env", "test", "--yes", "--json")
    assert done.returncode == 5, done
    assert done.document["error"]["host"] == second_container_host.name
    assert "503" in done.document["error"]["message"]
    assert "serving two" in done.stderr, "the card shows the service's last log lines"
    assert project.served() == ["one", "one"]
    status = project.status()
    assert status["state"] == "ok"
    assert {host["running_release"] for host in status["hosts"]} == {first}


def test_a_first_release_that_is_unhealthy_leaves_nothing_running(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host, service={"health_timeout": 1})
    sshd_host.run("echo one > ~/sick")
    project.release("one")
    document = project.deploy(expect=5)
    assert document["hosts"][0]["to"] is None
    assert project.served() == [""]
    assert project.status()["state"] == "empty"

    sshd_host.run("rm ~/sick")
    assert project.deploy()["result"] == "good"
    assert project.served() == ["one"]


def test_a_migration_runs_once_on_the_first_host_in_the_new_release(
    new_project, container_host: ContainerHost, second_container_host: ContainerHost
) -> None:
    project = new_project(container_host, second_container_host, service={"migrate": "sh migrate.sh"})
    ran = f"~/migrated-{project.app}"
    project.write("migrate.sh", f'pwd >> {ran}; echo "migrated by $HANDRAIL_RELEASE"\n')
    project.release("one")
    release = project.deploy()["release"]
    assert container_host.run(f"cat {ran}").stdout == f"{container_host.home}/apps/{project.app}/releases/{release}\n"
    assert second_container_host.run(f"test -e {ran}", check=False).returncode == 1


def test_a_migration_that_fails_keeps_the_old_release(
    new_project, container_host: ContainerHost, second_container_host: ContainerHost
) -> None:
    project = new_project(container_host, second_container_host)
    project.release("one")
    project.deploy()
    project.configure(service={"migrate": "sh migrate.sh"})
    project.write("migrate.sh", "echo no such table; exit 3\n")
    project.release("two")
    done = project.inv("deploy", "--env", "test", "--yes", "--json")
    assert done.returncode == 4, done
    assert "no such table" in done.stderr
    assert project.served() == ["one", "one"]


def test_a_plan_changes_nothing(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host)
    project.release("one")
    project.deploy()
    project.release("two")
    listing = f"cd ~/apps/{project.app} && find . -printf '%p %T@ %l\\n' | sort"
    before = sshd_host.run(listing).stdout
    done = project.inv("deploy", "--env", "test", "--plan", "--json")
    assert done.returncode == 0, done
    assert "version two" in done.stdout
    assert sshd_host.run(listing).stdout == before
    assert project.served() == ["one"]


def test_a_service_that_dies_at_once_says_why_in_the_card(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host)
    project.release("one")
    project.deploy()
    project.write("serve.py", "raise SystemExit('the settings are incomplete')\n")
    project.commit("broken")

    done = project.inv("deploy", "--env", "test", "--yes", "--json")

    assert done.returncode == 5, done
    assert "the settings are incomplete" in done.stderr
    assert project.served() == ["one"]


def test_status_says_why_a_host_cannot_be_asked(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host)
    project.release("one")
    project.deploy()
    config = project.folder / "client" / "ssh_config"
    config.write_text(config.read_text().replace(f"Port {sshd_host.port}", "Port 1"))

    done = project.inv("status", "--env", "test")

    assert done.returncode == 1
    assert "127.0.0.1:1 does not answer" in done.stderr
    assert project.status()["state"] == "unreachable"


def test_following_logs_ends_quietly_when_the_user_has_seen_enough(new_project, sshd_host: SshdHost) -> None:
    import signal

    project = new_project(sshd_host)
    project.release("one")
    project.deploy()
    process = project.start("logs", "--env", "test", "--follow")
    assert process.stdout is not None
    while "serving one" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "interrupted" not in errors
