"""The hosts of one environment, worked on in parallel with a bounded pool.

`Fleet.each` is the only loop over hosts: it runs a function for every host and returns what each gave or how
it failed, so that a step always knows the state of all hosts before it decides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from handrail.deploy.interrupts import uninterruptible
from handrail.deploy.session import HostError, Session
from handrail.errors import HandrailError, LockedError

if TYPE_CHECKING:
    from typing_extensions import Self

    from handrail.config.target import Target
    from handrail.ui import Board

T = TypeVar("T")


class Fleet:
    """Sessions with all chosen hosts.

    Args:
        hosts: in the environment's order; the first one is the one that runs migrations.
        session: makes the session of a host.
    """

    def __init__(
        self,
        target: Target,
        root: Path,
        hosts: Iterable[str] | None = None,
        session: Callable[[str, Target, Path], Session] = Session,
    ) -> None:
        self.target = target
        self.hosts = list(hosts if hosts is not None else target.hosts)
        self.sessions = {host: session(host, target, root) for host in self.hosts}
        self.board: Board | None = None
        self.seconds: dict[str, dict[str, float]] = {host: {} for host in self.hosts}
        self._pool = ThreadPoolExecutor(max_workers=max(1, min(target.connections, len(self.hosts) or 1)))
        self._closed = threading.Event()
        self._pinger: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._closed.set()
        list(self._pool.map(lambda session: session.close(), self.sessions.values()))
        self._pool.shutdown(wait=False, cancel_futures=True)

    def each(
        self, phase: str, work: Callable[[Session], T], hosts: Iterable[str] | None = None
    ) -> tuple[dict[str, T], dict[str, HandrailError]]:
        """Run ``work`` for each host in parallel; return (results, failures), both by host.

        An interrupt cancels what the hosts do, waits until they have stopped, and goes on as KeyboardInterrupt.
        """
        chosen = list(hosts if hosts is not None else self.hosts)
        results: dict[str, T] = {}
        failures: dict[str, HandrailError] = {}

        def one(host: str) -> None:
            started = time.monotonic()
            if self.board and phase:
                self.board.start(host, phase)
            try:
                results[host] = work(self.sessions[host])
            except HandrailError as error:
                error.host = error.host or host
                error.step = error.step or phase
                failures[host] = error
                if self.board and phase:
                    self.board.fail(host, phase, error.message.removeprefix(f"{host}: "))
                return
            took = time.monotonic() - started
            if phase:
                self.seconds[host][phase] = round(self.seconds[host].get(phase, 0.0) + took, 3)
                if self.board:
                    self.board.finish(host, phase, took)

        futures = [self._pool.submit(one, host) for host in chosen]
        try:
            wait(futures)
        except KeyboardInterrupt:
            # Two threads must not read from one session: go on only when every host has stopped what it did. A
            # migration is not stopped half-way, and a dead link is noticed by its silence.
            with uninterruptible():
                for future in futures:
                    future.cancel()
                for session in self.sessions.values():
                    session.cancel()
                wait(futures)
            raise
        for future in futures:
            future.result()
        return {h: results[h] for h in chosen if h in results}, {h: failures[h] for h in chosen if h in failures}

    def connect(self) -> tuple[dict[str, dict[str, Any]], dict[str, HandrailError]]:
        """Open all sessions; return each host's facts, or why it could not be reached."""
        facts, failures = self.each("connect", lambda session: session.open())
        self._pinger = threading.Thread(target=self._ping, daemon=True)
        self._pinger.start()
        return facts, failures

    def drop(self, hosts: Iterable[str]) -> None:
        """Go on without these hosts."""
        self.hosts = [host for host in self.hosts if host not in set(hosts)]

    def _ping(self) -> None:
        # Four pings a lease: one lost or late one must not return a host.
        while not self._closed.wait(min(5.0, max(0.25, self.target.lease / 4))):
            for session in self.sessions.values():
                if session.is_open:
                    session.ping()

    def lock(self, holder: dict[str, Any], wait_seconds: float) -> dict[str, dict[str, Any]]:
        """Take every host's lock, one host after the other in one fixed order; all or none.

        The order is the same for everyone, whatever hosts they chose, so of two deploys at once exactly one wins.

        Raises:
            LockedError: somebody else holds a lock; names who and since when.
            HostError: a host could not be asked.
        """
        taken: dict[str, dict[str, Any]] = {}
        try:
            for host in sorted(self.hosts):
                taken[host] = self.sessions[host].call("lock", holder=holder, wait=wait_seconds)
        except HostError as error:
            self.unlock(taken)
            if error.kind == "locked":
                raise locked_error(error) from None
            raise
        except KeyboardInterrupt:
            self.unlock(taken)
            raise
        return taken

    def unlock(self, hosts: Iterable[str]) -> None:
        for host in hosts:
            try:
                self.sessions[host].call("unlock")
            except HostError:
                continue  # its agent is gone, and the lock with it

    @contextmanager
    def showing(self, board: Board) -> Iterator[None]:
        self.board = board
        try:
            yield
        finally:
            self.board = None


def locked_error(error: HostError) -> LockedError:
    holder = error.facts.get("holder") or {}
    since = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(holder["since"])) if holder.get("since") else "?"
    what = holder.get("what", "a deploy")
    return LockedError(
        f"{error.host}: locked by {holder.get('who', 'somebody')} since {since} ({what})",
        host=error.host,
        step="lock",
        next_step="wait for it with --wait SECONDS; a lock whose holder is dead frees itself",
    )
