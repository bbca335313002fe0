"""Visitors of a service: threads that ask without end while something else happens, and count the answers."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from handrail.testing.host import Host

if TYPE_CHECKING:
    from typing_extensions import Self


class Visitors:
    """Ask the hosts' proxies from several threads for each host.

    Args:
        version: what the body of an answer says of the version that gave it.
        kept: for each thread of a host, whether it keeps its connection from request to request.
        pause: seconds between two requests of a thread.
        timeout: seconds for one answer, after which the request is lost.

    Attributes:
        answers: how many there were, by version and status.
        lost: why requests ended without an answer. That a server closes a kept connection between two requests does
            not count: every client asks again on a new one.
        reopened: how often a server did that.
        took: for each answer when its request began, as `time.perf_counter`, and how many seconds it took.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        port: int,
        *,
        version: Callable[[str], str] = str,
        kept: Sequence[bool] = (True, True, False),
        pause: float = 0.0,
        timeout: float = 10.0,
    ) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.lost: list[str] = []
        self.reopened = 0
        self.took: list[tuple[float, float]] = []
        self._version = version
        self._pause = pause
        self._timeout = timeout
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._visit, args=(host.address, port, keeps)) for host in hosts for keeps in kept
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def failures(self) -> list[str]:
        """Every request that was not answered with 200, as a sentence or its status and version."""
        return [*self.lost, *(f"{count} x {key}" for key, count in self.answers.items() if key[1] != 200)]

    @property
    def failed(self) -> int:
        """How many requests were not answered with 200."""
        return len(self.lost) + sum(count for (_, status), count in self.answers.items() if status != 200)

    @property
    def versions(self) -> set[str]:
        """The versions that were met."""
        return {version for version, _ in self.answers}

    def _visit(self, address: str, port: int, keeps: bool) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stop.wait(self._pause):
            reused = connection is not None
            connection = connection or http.client.HTTPConnection(address, port, timeout=self._timeout)
            began = time.perf_counter()
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                body = answer.read().decode("utf-8", "replace")
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                connection = None
                closed = isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError)
                if reused and closed:
                    self.reopened += 1
                else:
                    self.lost.append(repr(error))
                continue
            self.took.append((began, time.perf_counter() - began))
            self.answers[self._version(body), answer.status] += 1
            if not keeps or answer.will_close:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()
