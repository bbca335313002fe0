"""A session while its agent starts: other threads must not speak to what is not there yet."""

from __future__ import annotations

import io
import json
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


def test_a_host_that_does_not_know_the_agent_is_sent_it() -> None:
    channel = Channel()
    lines = ["noise", agent.WANTED, f'{{"marker": "{agent.MARKER}"}}', '{"id": 1, "ok": true, "result": {"a": 1}}', ""]
    channel.makefile = lambda *_: io.BytesIO("\n".join(lines).encode())  # type: ignore[method-assign]
    session = Session("web1", TARGET, Path(), lambda *_: Connection(channel))
    assert session.open() == {"a": 1, "address": "web1"}
    assert channel.sent == agent.text(), "the first request was in the command"


def test_a_request_along_with_the_first_one_is_numbered_after_it() -> None:
    session = Session("web1", TARGET, Path())
    session.ask_with_hello("lock", wait=None)
    hello, lock = session._first()
    assert json.loads(hello)["op"] == "hello"
    assert json.loads(lock) == {"id": session.asked, "op": "lock", "wait": None}
    assert session.asked == session._hello + 1
