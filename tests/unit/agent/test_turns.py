"""Which requests a cancellation stops: those that were sent before it, also where they still wait for their turn."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from typing import IO, Any

import pytest

from handrail.agent.wire import Agent


@pytest.fixture
def out() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as stream:
        yield stream


def answers(out: IO[bytes]) -> list[int]:
    """Return the numbers of the requests that were answered."""
    out.seek(0)
    return [json.loads(line)["id"] for line in out if b'"ok"' in line]


def test_a_cancellation_reaches_the_request_that_waits_behind_the_one_it_interrupts_and_none_after_it(
    out: IO[bytes],
) -> None:
    reading, writing = os.pipe()
    begun, seen = threading.Event(), []

    def first(agent: Agent, _request: dict[str, Any], _payload: bytes) -> dict[str, Any]:
        begun.set()
        assert agent.stop.wait(10)
        return {}

    def look(agent: Agent, _request: dict[str, Any], _payload: bytes) -> dict[str, Any]:
        seen.append(agent.stop.is_set())
        return {}

    with os.fdopen(reading, "rb") as stdin:
        agent = Agent({"first": first, "look": look}.__getitem__, stdin, out)
        thread = threading.Thread(target=agent.serve)
        thread.start()
        with os.fdopen(writing, "wb", buffering=0) as stream:
            stream.write(b'{"id":1,"op":"first"}\n{"id":2,"op":"look"}\n')
            assert begun.wait(10)
            stream.write(b'{"op":"cancel","upto":2}\n{"id":3,"op":"look"}\n{"id":4,"op":"bye"}\n')
            thread.join(10)
        assert agent.gone.wait(10)
    assert seen == [True, False]
    assert answers(out) == [1, 2, 3]


def test_a_program_without_an_app_holds_a_lock_of_its_own_and_hears_pings(out: IO[bytes]) -> None:
    """`inv host.setup` hung for ever at the first ping after it had its lock."""

    def take(agent: Agent, _request: dict[str, Any], _payload: bytes) -> dict[str, Any]:
        agent.lock_fd = 99
        taken.set()
        return {}

    taken = threading.Event()
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stdin:
        agent = Agent({"take": take, "look": lambda *_: {}}.__getitem__, stdin, out)
        thread = threading.Thread(target=agent.serve, daemon=True)
        thread.start()
        with os.fdopen(writing, "wb", buffering=0) as stream:
            stream.write(b'{"id":1,"op":"take"}\n')
            assert taken.wait(10)
            stream.write(b'{"op":"ping"}\n{"id":2,"op":"look"}\n{"id":3,"op":"bye"}\n')
            thread.join(10)
        assert not thread.is_alive()
        assert agent.gone.wait(10)
    assert answers(out) == [1, 2]


@pytest.mark.parametrize("is_socket", [False, True])
def test_a_client_that_hangs_in_the_middle_of_an_answer_is_given_up(is_socket: bool) -> None:
    """It kept the host's lock until TCP gave up, for the agent waited to write."""
    if is_socket:
        ends = socket.socketpair()
        reading, writing = (os.dup(end.fileno()) for end in ends)
        for end in ends:
            end.close()
    else:
        reading, writing = os.pipe()
    asking, orders = os.pipe()
    stopped: list[bool] = []

    def give(agent: Agent, _request: dict[str, Any], _payload: bytes) -> dict[str, Any]:
        agent.silence = 1.0
        agent.deliver(b"x" * (1 << 20))
        stopped.append(agent.stop.is_set())
        return {}

    with os.fdopen(asking, "rb") as stdin, os.fdopen(writing, "wb") as out, os.fdopen(orders, "wb", buffering=0) as to:
        agent = Agent({"give": give}.__getitem__, stdin, out)
        thread = threading.Thread(target=agent.serve, daemon=True)
        thread.start()
        to.write(b'{"id":1,"op":"give"}\n')
        # The client lives, and neither reads nor speaks.
        thread.join(20)
        try:
            assert not thread.is_alive()
        finally:
            os.close(reading)
    assert stopped == [True]
