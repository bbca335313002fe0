from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from handrail.testing.host import wait_until, write_client_files
from handrail.testing.sshd import SshdHost
from handrail.testing.wire import Wire

pytestmark = pytest.mark.integration


def start(host: SshdHost, command: str) -> subprocess.Popen[bytes]:
    write_client_files(host.client_folder, [host])
    argv = ["ssh", "-F", str(host.client_folder / "ssh_config"), host.name, command]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_host_is_reached_through_the_wire(sshd_host: SshdHost, tmp_path: Path) -> None:
    with Wire(sshd_host, tmp_path) as wire:
        assert wire.host.port != sshd_host.port
        assert wire.host.run("cat", stdin="x" * 100_000).stdout == "x" * 100_000
        assert wire.sent > 100_000


def test_a_cut_ends_a_session_and_lets_the_next_one_through(sshd_host: SshdHost, tmp_path: Path) -> None:
    with Wire(sshd_host, tmp_path) as wire, start(wire.host, "echo ready; cat") as session:
        assert session.stdout is not None
        assert session.stdout.readline() == b"ready\n"
        wire.cut()
        assert session.wait(10) == 255
        assert wire.host.run("echo again").stdout == "again\n"


def test_a_frozen_wire_passes_nothing_until_it_thaws(sshd_host: SshdHost, tmp_path: Path) -> None:
    with Wire(sshd_host, tmp_path) as wire, start(wire.host, "echo ready; read line; echo got $line") as session:
        assert session.stdout is not None
        assert session.stdin is not None
        assert session.stdout.readline() == b"ready\n"
        wire.freeze()
        before = wire.sent
        session.stdin.write(b"hello\n")
        session.stdin.flush()
        with pytest.raises(AssertionError, match="in vain"):
            wait_until(lambda: wire.sent > before, "a byte to pass", 0.3)
        wire.thaw()
        assert session.stdout.readline() == b"got hello\n"
