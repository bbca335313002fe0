"""A session while its agent starts: other threads must not speak to what is not there yet."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail import agent
from handrail.deploy.session import Session

pytestmark = pytest.mark.unit


TARGET: Any = SimpleNamespace(root="~/apps", app="shop", lease=60)


class Channel:
    """An SSH channel that remembers what was sent, and answers with the agent's first line."""

    closed = False

    def __init__(self) -> None:
        self.sent = b""

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def settimeout(self, seconds: float) -> None: ...

    def exec_command(self, command: str) -> None: ...

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(f'{{"marker": "{agent.MARKER}"}}\n'.encode())


class Connection:
    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.transport = self

    def open_session(self, timeout: float) -> Channel:
        return self.channel


def test_pings_and_cancellations_wait_until_the_agent_has_spoken() -> None:
    session, channel = Session("web1", None, Path()), Channel()  # type: ignore[arg-type]
    session._connection = Connection(channel)
    for _ in range(2):  # also when it is started again on an open connection
        channel.sent = b""
        session._start("exec python3")
        session.ping()
        session.cancel()
        assert channel.sent == b"", "the bootstrap would read it as its program's length"
        session._skip_to_marker()
        session.ping()
        assert channel.sent == b'{"op":"ping"}\n'


def test_a_host_that_does_not_know_the_agent_is_sent_it_with_the_first_request_again() -> None:
    session, channel = Session("web1", TARGET, Path()), Channel()
    channel.makefile = lambda *_: io.BytesIO(  # type: ignore[method-assign]
        f'noise\n{agent.WANTED}\n{{"marker": "{agent.MARKER}"}}\n{{"id": 2, "ok": true, "result": {{}}}}\n'.encode()
    )
    session._connection = Connection(channel)
    session._start("exec python3")
    session._greet()
    first = channel.sent
    session._skip_to_marker()
    assert channel.sent == first + agent.text() + first.replace(b'"id":1', b'"id":2')
    assert session.wait(session._hello) == {}
