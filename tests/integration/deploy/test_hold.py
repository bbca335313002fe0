"""``inv deploy --hold`` and ``inv promote``: a proved release waits beside the one that serves."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.host import wait_until
from handrail.testing.project import DeployProject

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PORT = 8083


@pytest.fixture
def project(new_project, container_host: ContainerHost, second_container_host: ContainerHost) -> Iterator[Any]:
    hosts = (container_host, second_container_host)
    test = {
        "strategy": "blue-green",
        "proxy": {"kind": "caddy", "site": f":{PORT}"},
        "watch": 0.2,
        "drain": 2,
        "lease": 3,
    }
    for host in hosts:
        host.run_as_root("systemctl start caddy")
    made = new_project(*hosts, test=test)
    made.release("one")
    made.deploy()
    yield made
    for host in hosts:
        host.run_as_root("rm -f /etc/caddy/handrail/*; systemctl reload caddy")


def served(project: DeployProject) -> list[str]:
    return [host.get(PORT).json()["version"] for host in project.hosts]


def held(project: DeployProject) -> list[str | None]:
    return [(row["held"] or {}).get("release") for row in project.status()["hosts"]]


def promote(project: DeployProject, expect: int = 0) -> dict[str, Any]:
    done = project.inv("promote", "--env", "test", "--json")
    assert done.returncode == expect, done
    return done.document


def units(host: ContainerHost, app: str) -> set[str]:
    text = host.run_as_root(f"systemctl list-units --plain --no-legend --state=active '{app}-*'")
    return {line.split()[0].removeprefix(f"{app}-").removesuffix(".service") for line in text.splitlines()}


def test_a_held_release_waits_without_traffic_until_it_is_promoted(project, container_host: ContainerHost) -> None:
    project.release("two")
    document = project.deploy("--hold")
    assert document["result"] == "held"
    assert served(project) == ["one", "one"]

    status = project.status()
    assert status["state"] == "ok"
    row = status["hosts"][0]
    assert (row["held"]["release"], row["held"]["ok"]) == (document["release"], True)
    assert not row["lock"]["held"]
    assert row["transaction"] is None
    shown = project.inv("status", "--env", "test").stdout
    port = row["held"]["port"]
    assert f"holds {document['release']} on port {port} without traffic, since " in shown
    assert f"ssh -N -L {port}:127.0.0.1:{port} -F client/ssh_config container-a" in shown
    assert container_host.get(port).json()["version"] == "two", "it can be looked at"

    # A crash while it waits: promotion finds that, and starts and proves it again.
    container_host.run_as_root(f"systemctl stop {project.app}-web-green")
    lost = project.inv("status", "--env", "test")
    assert "is not well (the process is not running)" in lost.stdout + lost.stderr
    promoted = promote(project)
    assert promoted["result"] == "good"
    assert promoted["release"] == document["release"]
    assert served(project) == ["two", "two"]
    assert units(container_host, project.app) == {"web-green"}
    entry = project.status()["hosts"][0]["history"][-1]
    assert entry["held"]["who"] == entry["promoted"]["who"]
    assert entry["promoted"]["since"] > entry["held"]["since"]
    assert project.rollback()["result"] == "good"
    assert served(project) == ["one", "one"]


def test_what_is_held_ends_with_abort_the_next_deploy_or_a_rollback(project, container_host: ContainerHost) -> None:
    project.release("two")
    mark = project.pause_at("after_upload")
    process = project.start("deploy", "--env", "test", "--yes", "--hold")
    wait_until(lambda: mark.exists() or process.poll() is not None, "the pause", 60)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    project.write("client/pause.py", "")
    told = project.inv("status", "--env", "test")
    assert "inv deploy --env test --resume --hold goes on with it" in told.stderr, told
    refused = project.inv("deploy", "--env", "test", "--yes", "--resume")
    assert refused.returncode == 3, refused
    assert "was begun with --hold" in refused.stderr
    assert project.deploy("--resume", "--hold")["result"] == "held"
    assert served(project) == ["one", "one"]
    refused = project.inv("deploy", "--env", "test", "--yes", "--resume")
    assert refused.returncode == 3
    assert "is held" in refused.stderr
    # What a command that ran as root has left there keeps neither the abort nor the next deploy from working.
    folder = f"{container_host.home}/apps/{project.app}/releases/{held(project)[0]}"
    container_host.run_as_root(f"mkdir {folder}/__pycache__ && touch {folder}/__pycache__/code.pyc")
    assert project.inv("deploy", "--env", "test", "--abort").returncode == 0
    assert units(container_host, project.app) == {"web-blue"}
    assert held(project) == [None, None]
    assert promote(project, expect=3)["error"]["message"] == "no host of test holds a release"

    done = project.inv("deploy", "--env", "test", "--yes", "--hold")
    assert done.returncode == 0, done
    assert f"{container_host.name}: {folder} cannot be deleted" in done.stderr, done
    project.release("three")
    project.deploy()
    assert served(project) == ["three", "three"]
    assert units(container_host, project.app) == {"web-green"}

    project.release("four")
    project.deploy("--hold")
    project.rollback()
    assert served(project) == ["one", "one"]
    assert units(container_host, project.app) == {"web-blue"}
    assert held(project) == [None, None]


def test_hosts_that_hold_different_things_are_not_promoted_together(project) -> None:
    project.release("two")
    first, away = project.hosts
    config, block = project.folder / "client" / "ssh_config", away.ssh_config()
    known = config.read_text()
    config.write_text(known.replace(block, block.replace(f"Port {away.port}\n", "Port 1\n")))
    done = project.inv("deploy", "--env", "test", "--yes", "--hold", "--skip-unreachable")
    assert done.returncode == 0, done
    assert f"{away.name} was left out, and is remembered with the promotion: " in done.stderr
    config.write_text(known)
    document = promote(project, expect=3)
    assert "do not hold the same release" in document["error"]["message"]
    assert served(project) == ["one", "one"]
    assert held(project)[0] is not None, "nothing was changed"
    done = project.inv("promote", "--env", "test", "--hosts", first.name)
    assert done.returncode == 0, done
    assert f"{away.name} was left out and must catch up" in done.stderr
    assert served(project) == ["two", "one"]
    assert project.status()["left_out"][away.name]["why"]


def test_a_promotion_whose_client_dies_returns_and_forgets_what_was_held(project) -> None:
    project.release("two")
    mark = project.pause_at("before_commit")
    project.commit("pause")
    assert project.deploy("--hold")["result"] == "held"
    process = project.start("promote", "--env", "test")
    wait_until(lambda: mark.exists() or process.poll() is not None, "the pause", 60)
    assert served(project) == ["two", "two"]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not any(row["lock"]["held"] for row in project.status()["hosts"]), "the return", 30)
    assert served(project) == ["one", "one"]
    status = project.status()
    assert status["state"] == "ok"
    assert [row["held"] for row in status["hosts"]] == [None, None]


def test_what_is_held_gets_no_visitor_although_what_serves_is_down(project, container_host: ContainerHost) -> None:
    project.release("two")
    project.deploy("--hold")
    container_host.run_as_root(f"systemctl stop {project.app}-web-blue")
    row = project.status()["hosts"][0]
    assert (row["slot"], row["ok"]) == ("blue", False)
    for word in ("on", "off"):
        done = project.inv("maintenance", word, "--env", "test")
        assert done.returncode == 0, done
    container_host.run_as_root(f"systemctl start {project.app}-web-blue")
    wait_until(lambda: container_host.get(PORT).status == 200, "what serves to come back", 20)
    assert served(project) == ["one", "one"]
