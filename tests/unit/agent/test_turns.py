"""Which requests a cancellation stops: those that were sent before it, also where they still wait for their turn."""

from __future__ import annotations

import io
import json
import os
import threading
from typing import Any

from handrail.agent.wire import Agent


def test_a_cancellation_reaches_the_request_that_waits_behind_the_one_it_interrupts_and_none_after_it() -> None:
    reading, writing = os.pipe()
    out = io.BytesIO()
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
    answers = [json.loads(line) for line in out.getvalue().splitlines() if b'"ok"' in line]
    assert [answer["id"] for answer in answers] == [1, 2, 3]


def test_a_program_without_an_app_holds_a_lock_of_its_own_and_hears_pings() -> None:
    """`inv host.setup` hung for ever at the first ping after it had its lock."""
    out = io.BytesIO()

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
    assert [json.loads(line)["id"] for line in out.getvalue().splitlines() if b'"ok"' in line] == [1, 2]
