from __future__ import annotations

from pathlib import Path

import pytest

from handrail.testing.host import write_client_files
from handrail.testing.sshd import SshdHost

pytestmark = pytest.mark.integration


def test_a_command_runs_in_the_hosts_own_home(sshd_host: SshdHost) -> None:
    assert sshd_host.run('cd; pwd; echo "$HOME"').stdout.split() == [sshd_host.home, sshd_host.home]


def test_a_login_session_inherits_nothing_from_the_tests(sshd_host: SshdHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/leaked")
    names = {line.partition("=")[0] for line in sshd_host.run("env").stdout.splitlines()}
    assert "VIRTUAL_ENV" not in names
    assert {"HOME", "PATH", "USER"} <= names


def test_each_session_counts_as_one_channel(sshd_host: SshdHost) -> None:
    with sshd_host.counting_channels() as opened:
        sshd_host.run("true")
        sshd_host.run("true")
        assert opened() == 2


def test_a_client_that_does_not_know_the_key_is_refused(sshd_host: SshdHost, tmp_path: Path) -> None:
    stranger = SshdHost(tmp_path, name="host-a")
    stranger.identity, stranger.port = sshd_host.identity, sshd_host.port
    write_client_files(tmp_path, [sshd_host], known=False)
    stranger.client_folder = tmp_path
    done = stranger.run("true", check=False)
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_supervisor_answers_its_own_control_program(sshd_host: SshdHost) -> None:
    done = sshd_host.run("~/.supervisor/bin/supervisorctl -c ~/.supervisor/supervisord.conf pid")
    assert int(done.stdout) in sshd_host.processes()


def test_two_hosts_share_nothing(sshd_host: SshdHost, second_sshd_host: SshdHost) -> None:
    sshd_host.run("touch only-here")
    assert second_sshd_host.run("test -e only-here", check=False).returncode == 1
    assert sshd_host.host_key() != second_sshd_host.host_key()


def test_stopping_a_host_ends_its_processes_and_starting_it_brings_it_back(tmp_path: Path) -> None:
    with SshdHost(tmp_path, name="host-c") as host:
        host.run("echo kept > file; nohup sleep 300 >/dev/null 2>&1 </dev/null &")
        assert any("sleep 300" in command for command in host.processes().values())
        host.stop()
        assert host.processes() == {}
        host.start()
        assert host.run("cat file").stdout == "kept\n"
    assert host.processes() == {}
