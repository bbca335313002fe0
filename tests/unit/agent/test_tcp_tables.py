"""Who listens and who is connected, from the kernel's tables of TCP sockets."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from handrail.agent import processes

pytestmark = [pytest.mark.unit, pytest.mark.skipif(sys.platform != "linux", reason="the tables are Linux's")]

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(port: int, state: str, uid: int = 1000) -> str:
    return f"   0: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 {uid} 0 77 1\n"


def test_a_listener_and_its_connections_are_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert processes.connections_to(port) == 0
        assert processes.listeners(port) == [os.getpid()]
        assert processes.listening_uid(port) == os.geteuid()
        with socket.create_connection(("127.0.0.1", port)):
            assert processes.connections_to(port) == 1
    assert processes.listeners(port) == []
    assert processes.listening_uid(port) is None


def test_the_connections_of_a_busy_host_are_not_read_to_find_who_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "tcp"
    table.write_text(HEAD + line(80, "0A") + line(8000, "0A", 7) + line(8000, "01") + "what would be an error\n")
    monkeypatch.setattr(processes, "TABLES", [str(table)])
    assert [fields[7] for fields in processes.listening_sockets(8000)] == ["7"]


def test_a_listener_that_a_kernel_tells_last_is_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "tcp"
    table.write_text(HEAD + line(80, "0A") + line(8000, "01") + line(8000, "0A", 7))
    monkeypatch.setattr(processes, "TABLES", [str(table)])
    assert processes.listening_uid(8000) == 7
    assert processes.connections_to(8000) == 1


def test_tables_that_nobody_may_read_are_unknown_and_not_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "TABLES", [str(tmp_path / "absent")])
    assert processes.listeners(8000) is None
