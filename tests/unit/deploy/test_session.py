"""A session while its agent starts: other threads must not speak to what is not there yet."""

from __future__ import annotations

import ast
import base64
import io
import json
import shlex
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail import agent
from handrail.deploy.session import HostError, Session

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


@pytest.mark.parametrize("op", ["prepare", "offer", "look_at_database", "activate"])
def test_a_request_that_may_hold_a_value_never_travels_in_the_command(op: str) -> None:
    with pytest.raises(ValueError, match="everybody"):
        Session("web1", TARGET, Path()).ask_with_hello(op, env="export TOKEN='1'")


def test_the_command_that_starts_the_agent_holds_its_first_part_two_requests_and_nothing_else() -> None:
    session, started = Session("web1", TARGET, Path()), []
    channel = Channel()
    channel.exec_command = started.append  # type: ignore[method-assign, assignment]
    session._dial = lambda *_: Connection(channel)
    session.ask_with_hello("lock", holder={"who": "ada@desk", "what": "rollback of test"}, wait=None, gently=True)
    with pytest.raises(HostError, match="the agent ended"):
        session.open()
    first = zlib.decompress(base64.b64decode(shlex.split(started[0])[-1])).decode()
    own = agent.command()
    source, call = first.rsplit("\nstart(", 1)
    assert zlib.decompress(base64.b64decode(shlex.split(own)[-1])).decode().startswith(source)
    *_, lines = ast.literal_eval(f"({call.strip()}")
    hello, lock = (json.loads(line) for line in lines)
    assert hello == {"id": 1, "op": "hello", "root": TARGET.root, "app": TARGET.app, "silence": TARGET.lease}
    assert lock.keys() == {"id", "op", "holder", "wait", "gently"}


def test_a_request_along_with_the_first_one_is_numbered_after_it() -> None:
    session = Session("web1", TARGET, Path())
    session.ask_with_hello("lock", wait=None)
    hello, lock = session._first()
    assert json.loads(hello)["op"] == "hello"
    assert json.loads(lock) == {"id": session.asked, "op": "lock", "wait": None}
    assert session.asked == session._hello + 1
