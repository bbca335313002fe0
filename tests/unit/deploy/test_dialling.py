"""Connections opened ahead: taken once, closed where nobody wants them, and failing where they are wanted."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy import dialling
from handrail.deploy.dialling import Dialling
from handrail.errors import UnreachableError

pytestmark = pytest.mark.unit

TARGET: Any = SimpleNamespace(connections=2)


class Connection:
    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    connections: list[Connection] = []

    def connect(host: str, *_: Any) -> Connection:
        if host == "away":
            raise UnreachableError("away: cannot connect", host=host)
        connections.append(Connection())
        return connections[-1]

    monkeypatch.setattr(dialling, "connect", connect)
    return connections


def test_a_dialled_connection_is_taken_once(opened: list[Connection]) -> None:
    with Dialling(["web1"], TARGET, Path()) as dialled:
        first = dialled.take("web1", TARGET, Path())
        again = dialled.take("web1", TARGET, Path())
    assert opened == [first, again]
    assert not first.closed.is_set(), "whoever took it closes it"


def test_what_went_wrong_is_raised_where_the_connection_is_taken(opened: list[Connection]) -> None:
    with Dialling(["web1", "away"], TARGET, Path()) as dialled:
        assert dialled.take("web1", TARGET, Path()) is opened[0]
        with pytest.raises(UnreachableError):
            dialled.take("away", TARGET, Path())


def test_connections_that_nobody_took_are_closed(opened: list[Connection]) -> None:
    with Dialling(["web1", "web2", "web3", "away"], TARGET, Path()):
        pass
    deadline = time.monotonic() + 10
    while len(opened) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert all(connection.closed.wait(10) for connection in opened)
