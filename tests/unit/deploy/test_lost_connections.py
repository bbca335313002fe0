"""A session with a server that hangs up, without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest

from handrail.deploy import session
from handrail.deploy.session import OPENINGS, HostError, Session

pytestmark = pytest.mark.unit

Servers = Callable[[list[Exception | None]], list[Exception | None]]


class Channel:
    closed = False

    def settimeout(self, _seconds: float) -> None: ...

    def exec_command(self, _command: str) -> None: ...

    def makefile(self, *_: object) -> SimpleNamespace:
        return SimpleNamespace(readline=lambda: b"")

    def makefile_stderr(self, *_: object) -> SimpleNamespace:
        return SimpleNamespace(read=lambda _size: b"")

    def sendall(self, _data: bytes) -> None: ...

    def exit_status_ready(self) -> bool:
        return True

    def recv_exit_status(self) -> int:
        return -1


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    """Makes the next connections refuse a channel with these errors, or give one; what was not asked is left."""

    def prepare(answers: list[Exception | None]) -> list[Exception | None]:
        def open_session(timeout: float) -> Channel:
            error = answers.pop(0)
            if error:
                raise error
            return Channel()

        connection = SimpleNamespace(transport=SimpleNamespace(open_session=open_session), close=lambda: None)
        monkeypatch.setattr(session, "connect", lambda *_: connection)
        return answers

    return prepare


def make() -> Session:
    target: Any = SimpleNamespace(root="~/apps", app="shop", lease=60.0)
    return Session("web1", target, Path())


@pytest.mark.parametrize(
    "error", [EOFError(), paramiko.ChannelException(1, "prohibited"), ConnectionResetError("reset")]
)
def test_a_server_that_hangs_up_after_the_login_is_asked_again_and_then_lost(
    servers: Servers, error: Exception
) -> None:
    answers = servers([error] * OPENINGS)
    with pytest.raises(HostError) as lost:
        make().open()
    assert lost.value.kind == "lost"
    assert answers == []


def test_a_connection_that_is_cut_before_the_agent_answers_is_lost_and_no_fault_of_the_agent(servers: Servers) -> None:
    servers([EOFError(), None])
    with pytest.raises(HostError) as lost:
        make().open()
    assert lost.value.kind == "lost"
