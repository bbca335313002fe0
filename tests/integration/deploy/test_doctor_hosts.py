"""``inv doctor --env`` says what is wrong with real hosts, a line a finding, and changes nothing there."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.sshd import SshdHost

pytestmark = pytest.mark.integration


def found(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["code"]: each for each in document["findings"]}


def test_a_slow_start_up_file_and_a_taken_port_are_named(new_project, sshd_host: SshdHost, tmp_path: Path) -> None:
    project = new_project(sshd_host)
    project.release("one")
    well = project.inv("doctor", "--env", "test", "--json")
    assert well.returncode == 0, well
    assert json.loads(well.stdout)["findings"] == []

    home = Path(sshd_host.home)
    (home / ".bashrc").write_text("sleep 0.7\necho welcome\n")
    (home / ".bash_profile").write_text(". ~/.bashrc\n")
    try:
        with socket.create_server(("127.0.0.1", project.port)):
            done = project.inv("doctor", "--env", "test", "--json")
            said = project.inv("doctor", "--env", "test")
    finally:
        (home / ".bashrc").unlink()
        (home / ".bash_profile").unlink()

    assert done.returncode == 1, done
    findings = found(json.loads(done.stdout))
    assert set(findings) == {"host-shell-slow", "host-shell-talks", "host-port"}
    assert f"{home}/.bashrc takes 0." in findings["host-shell-slow"]["message"]
    assert f"port {project.port} is in use by pid {os.getpid()} (" in findings["host-port"]["message"]
    assert f"error: {project.hosts[0].name}" in said.stdout or "[host-port]" in said.stdout
    assert sshd_host.run(f"test -e ~/apps/{project.app}", check=False).returncode == 1


def test_missing_rights_and_a_host_that_is_away_are_named_beside_the_others(
    new_project, container_host: ContainerHost, tmp_path: Path
) -> None:
    away = SshdHost(tmp_path / "away", name="host-away")
    with away:
        project = new_project(container_host, away, service={"manager": "systemd"}, test={"root": "/opt"})
    project.release("one")

    done = project.inv("doctor", "--env", "test", "--json")

    assert done.returncode == 1, done
    document = json.loads(done.stdout)
    findings = found(document)
    assert "host-away" in findings["host-unreachable"]["host"]
    assert f"cannot write to /opt/{project.app}" in findings["host-not-writable"]["message"]
    assert "belongs to root" in findings["host-not-writable"]["message"]
    # It may use sudo for everything there.
    assert set(findings) == {"host-unreachable", "host-not-writable"}
