"""A session with a server that hangs up, without a network."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest

from handrail import agent
from handrail.deploy import session
from handrail.deploy.session import OPENINGS, HostError, Session
from handrail.hosts.session import SetupSession

pytestmark = pytest.mark.unit

Servers = Callable[[list[Exception | None]], list[Exception | None]]


class Channel:
    closed = False

    def settimeout(self, _seconds: float) -> None: ...

    def exec_command(self, _command: str) -> None: ...

    def __init__(self, output: bytes = b"", status: int = -1) -> None:
        self.output, self.status = output, status
        self.status_event = threading.Event()
        self.status_event.set()

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self.output)

    def makefile_stderr(self, *_: object) -> io.BytesIO:
        return io.BytesIO()

    def sendall(self, _data: bytes) -> None: ...

    def recv_exit_status(self) -> int:
        return self.status


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


MARKER = f'{{"marker": "{agent.MARKER}"}}\n'.encode()


def opened(output: bytes, status: int = -1, kind: type[Session] = Session) -> Session:
    """Return a session whose command has said this much when its output ends; -1: the connection was cut."""
    target: Any = SimpleNamespace(root="~/apps", app="shop", lease=60.0, ssh_config="", known_hosts="")
    made = kind("web1", target, Path())
    connection: Any = SimpleNamespace()
    connection.transport = SimpleNamespace(open_session=lambda timeout: Channel(output, status))
    made._connection = connection
    made._start("exec python3")
    return made


@pytest.mark.parametrize("answer", [b"", b"{", b'{"id": 1, "ok": true, "result": {"a"', b'{"id": 1, "ok": true}'])
def test_an_answer_that_is_cut_off_is_a_lost_connection(answer: bytes) -> None:
    cut = opened(MARKER + b'{"id": 0, "event": {}}\n' + answer)
    cut._skip_to_marker()
    with pytest.raises(HostError, match="connection was lost") as lost:
        cut.wait(1)
    assert lost.value.kind == "lost"


@pytest.mark.parametrize("noise", [b"", b"Welcome!\n"])
def test_a_first_word_that_is_cut_off_is_a_lost_connection(noise: bytes) -> None:
    with pytest.raises(HostError) as lost:
        opened(noise + MARKER[:9])._skip_to_marker()
    assert lost.value.kind == "lost"


def test_the_last_words_of_a_login_that_ends_are_its_answer_with_a_line_end_or_without() -> None:
    with pytest.raises(HostError) as ended:
        opened(b"Welcome!\n\nThis account is closed", status=1)._skip_to_marker()
    assert (ended.value.kind, ended.value.returncode) == ("agent", 1)
    assert ended.value.lines == ["Welcome!", "", "This account is closed"]


def test_a_set_up_takes_no_half_of_a_word_for_an_answer() -> None:
    with pytest.raises(HostError) as lost:
        opened(b"HANDRAIL-HOST g", kind=SetupSession)._answer()  # type: ignore[attr-defined]
    assert lost.value.kind == "lost"
    with pytest.raises(HostError, match="POSIX shell") as ended:
        opened(b"no shell here", 1, SetupSession)._answer()  # type: ignore[attr-defined]
    assert ended.value.lines == ["no shell here"]


def test_a_set_up_reads_past_the_empty_lines_of_a_greeting() -> None:
    greeted = opened(b"\nWelcome!\n\nHANDRAIL-HOST go\n", kind=SetupSession)
    assert greeted._answer() == "go"  # type: ignore[attr-defined]
