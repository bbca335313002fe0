"""A network's delay as a process: ``python -m handrail.testing.delay SECONDS``, ended by the end of its input.

The first line of input is a JSON list of ``[[address, port], [address, port]]``: where to listen, where to pass on
to. Every byte arrives half of SECONDS later, in both directions; bandwidth is not limited. The kernel accepts a
connection at once, so what its handshake would take is added before the first byte passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import socket
import sys
from collections import deque
from typing import Any, cast


class _End(asyncio.Protocol):
    """One end of a connection; what it reads is written to ``other`` half a round trip later."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.other: _End | None = None
        self.transport: asyncio.Transport | None = None
        self._under_way: deque[bytes] = deque()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._under_way.append(data)
        self._loop.call_later(self.delay, self._deliver)

    def eof_received(self) -> bool:
        self._under_way.append(b"")
        self._loop.call_later(self.delay, self._deliver)
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        self._loop.call_later(self.delay, self._hang_up)

    def _deliver(self) -> None:
        # Timers that are due together may run in any order, the bytes go in theirs.
        data = self._under_way.popleft()
        if self.other is None or self.other.transport is None or self.other.transport.is_closing():
            return
        with contextlib.suppress(OSError):
            if data:
                self.other.transport.write(data)
            else:
                self.other.transport.write_eof()

    def _hang_up(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()


class _Client(_End):
    """The end that a client opened. The server hears of it when the handshake and its first packet have travelled."""

    def __init__(self, delay: float, goal: tuple[str, int], running: set[asyncio.Task[None]]) -> None:
        super().__init__(delay)
        self._goal = goal
        self._running = running

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast(asyncio.Transport, transport).pause_reading()
        task = self._loop.create_task(self._reach())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _reach(self) -> None:
        assert self.transport is not None
        # The handshake is one round trip; its last packet, and with it the first bytes, take half of another.
        await asyncio.sleep(2 * self.delay)
        try:
            _, server = await self._loop.create_connection(lambda: _Server(self.delay), *self._goal)
        except OSError:
            self.transport.close()
            return
        server.other, self.other = self, server
        if self.transport.is_closing():
            self._hang_up()
            return
        self.transport.resume_reading()
        await asyncio.sleep(self.delay)
        if server.transport is not None and not server.transport.is_closing():
            server.transport.resume_reading()


class _Server(_End):
    """The end at the server: what it says first, it says when the handshake is over."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast(asyncio.Transport, transport).pause_reading()


async def _serve(seconds: float, ways: list[Any]) -> None:
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()
    for near, far in ways:
        client = functools.partial(_Client, seconds / 2, (far[0], far[1]), running)
        await loop.create_server(client, near[0], near[1], backlog=256)
    # Ends with its parent.
    await loop.run_in_executor(None, sys.stdin.readline)


def main() -> None:
    ways = json.loads(sys.stdin.readline())
    gc.freeze()
    asyncio.run(_serve(float(sys.argv[1]), ways))


if __name__ == "__main__":
    main()
