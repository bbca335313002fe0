"""The hosts of one environment, worked on in parallel with a bounded pool.

`Fleet.each` is the only loop over hosts: it runs a function for every host and returns what each gave or how
it failed, so that a step always knows the state of all hosts before it decides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from handrail.agent.protocol import ping_interval
from handrail.deploy.failures import as_preflight
from handrail.deploy.interrupts import in_one_piece, uninterruptible
from handrail.deploy.session import HostError, Session
from handrail.errors import HandrailError, LockedError, NeedsPersonError, PreflightError

if TYPE_CHECKING:
    from typing_extensions import Self

    from handrail.config.target import Target
    from handrail.ui import Board, Printer

T = TypeVar("T")

# How long who takes locks in order waits at least: longer than somebody else's try of all of them lasts.
TRY_SECONDS = 1.0


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
        self.is_done = False
        """Everything went well, and nothing that could still fail comes: the connections need not be waited for."""
        self.origin = time.monotonic()
        self.seconds: dict[str, dict[str, float]] = {host: {} for host in self.hosts}
        self.starts: dict[str, dict[str, float]] = {host: {} for host in self.hosts}
        """When a phase first began on a host, in seconds since ``origin``."""
        self.broken: dict[str, str] = {}
        """The phase that failed on a host."""
        # Logging in and sending are bounded; waiting for answers is not, else the slowest host would cost every
        # wave its time. A thread that waits costs next to nothing.
        self._pool = ThreadPoolExecutor(max_workers=max(1, len(self.hosts)))
        self._narrow = ThreadPoolExecutor(max_workers=max(1, min(target.connections, len(self.hosts))))
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        # From the first agent on: it may have to wait for a host that takes longer than a lease to give up.
        # One thread for each: what is sent to a frozen host waits, and the others' leases run on.
        for session in self.sessions.values():
            threading.Thread(target=self._ping, args=(session,), daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._closed.set()
        list(self._pool.map(lambda session: session.close(at_once=self.is_done), self.sessions.values()))
        for pool in (self._pool, self._narrow):
            pool.shutdown(wait=False, cancel_futures=True)

    def each(
        self, phase: str, work: Callable[[Session], T], hosts: Iterable[str] | None = None, *, narrow: bool = False
    ) -> tuple[dict[str, T], dict[str, HandrailError]]:
        """Run ``work`` for each host in parallel; return (results, failures), both by host.

        Args:
            narrow: on no more hosts at once than the environment's ``connections``; for work that logs in or sends.

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
                if phase:
                    self.note_time(host, phase, started)
                    self.broken.setdefault(host, phase)
                if self.board and phase:
                    self.board.fail(host, phase, error.beside(host))
                return
            if phase:
                self.finish(host, phase, started)

        pool = self._narrow if narrow else self._pool
        futures: list[Future[None]] = []
        try:
            with in_one_piece():
                # A thread that nobody knows of would read from a session beside the next one.
                futures += [pool.submit(one, host) for host in chosen]
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

    def finish(self, host: str, phase: str, started: float) -> None:
        """Note a phase that began at ``started``, by the monotonic clock, and show that it went well."""
        took = self.note_time(host, phase, started)
        if self.board:
            self.board.finish(host, phase, took)

    def note_time(self, host: str, phase: str, started: float) -> float:
        """Add a phase that began at ``started``, by the monotonic clock, and ends now; return its seconds."""
        took = time.monotonic() - started
        self.starts[host].setdefault(phase, round(started - self.origin, 3))
        self.seconds[host][phase] = round(self.seconds[host].get(phase, 0.0) + took, 3)
        return took

    def times(self, host: str) -> dict[str, Any]:
        """Return what a host's history keeps of this run's times; see `handrail.deploy.timeline`."""
        failed = {"failed": self.broken[host]} if host in self.broken else {}
        return {"seconds": self.seconds[host], "starts": self.starts[host], **failed}

    def connect(self) -> tuple[dict[str, dict[str, Any]], dict[str, HandrailError]]:
        """Open all sessions; return each host's facts, or why it could not be reached."""
        return self.each("connect", lambda session: session.open(), narrow=True)

    def drop(self, hosts: Iterable[str]) -> None:
        """Go on without these hosts."""
        self.hosts = [host for host in self.hosts if host not in set(hosts)]

    def _ping(self, session: Session) -> None:
        # Four pings a lease: one lost or late one must not return a host.
        while not self._closed.wait(ping_interval(self.target.lease)):
            if session.is_open:
                session.ping()

    def lock(self, holder: dict[str, Any], wait_seconds: float) -> dict[str, dict[str, Any]]:
        """Take every host's lock; all or none.

        All are tried at once, and where nobody else wants one, that was it. Otherwise what was got is given back, and
        they are taken one host after the other, in one order that is the same for everyone, whatever hosts they
        chose: of two deploys at once exactly one wins. Nobody waits while he tries, so the two ways cannot block
        each other; and who goes in order waits long enough for somebody's try to end.

        Raises:
            LockedError: somebody else holds a lock; names who and since when.
            NeedsPersonError: what a dead deploy had left on a host could not be brought back.
            PreflightError: a host could not be asked.
        """
        taken: dict[str, dict[str, Any]] = {}
        try:
            if len(self.hosts) > 1:
                taken, failures = self._try_locks(holder)
                if len(taken) == len(self.hosts):
                    return taken
                self.unlock(taken)
                taken = {}
                if failures:
                    raise next(iter(failures.values()))
            for host in sorted(self.hosts):
                taken[host] = self.sessions[host].call("lock", holder=holder, wait=max(wait_seconds, TRY_SECONDS))
        except HostError as error:
            self.unlock(taken)
            raise lock_error(error, self.target.environment) from None
        except KeyboardInterrupt:
            self.unlock(taken)
            raise
        return taken

    def lock_again(self, session: Session, holder: dict[str, Any]) -> None:
        """Take a host's lock back; the agent that held it ends once it has done what it was at."""
        session.call("lock", holder=holder, wait=self.target.lease)

    def insist(self, session: Session, take_up: Callable[[Session], object], work: Callable[[Session], T]) -> T:
        """Do ``work`` with a host, also where its connection is lost: log in again until a lease has run out.

        Args:
            take_up: what comes first on a new connection.

        Raises:
            HandrailError: the host refuses, or does not answer within a lease.
        """
        session.revive()
        deadline = time.monotonic() + self.target.lease
        while True:
            try:
                if not session.is_open:
                    session.reopen()
                    take_up(session)
                return work(session)
            except HandrailError as error:
                lost = isinstance(error, PreflightError) or getattr(error, "kind", "") == "lost"
                if not lost or time.monotonic() > deadline:
                    raise
                session.close()
                threading.Event().wait(0.5)

    def _try_locks(self, holder: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], dict[str, HandrailError]]:
        """Return (answers of the hosts whose lock was free, failures other than a lock that is held)."""
        missed = threading.Event()

        def work(session: Session) -> dict[str, Any] | None:
            try:
                answer = session.call("lock", holder=holder, wait=None)
            except HostError as error:
                missed.set()
                if error.kind != "locked":
                    raise
                return None
            if missed.is_set():
                # The whole try has failed: give it back now, a slow host may keep the others waiting.
                self.unlock([session.host])
                return None
            return answer

        results, failures = self.each("", work)
        return {host: answer for host, answer in results.items() if answer is not None}, failures

    def unlock(self, hosts: Iterable[str]) -> None:
        def work(session: Session) -> None:
            try:
                session.call("unlock")
            except HostError:
                return  # its agent is gone, and the lock with it

        list(self._pool.map(work, [self.sessions[host] for host in hosts]))

    @contextmanager
    def showing(self, board: Board) -> Iterator[None]:
        self.board = board
        try:
            yield
        finally:
            self.board = None


def tell_of_lock(printer: Printer, host: str, answer: Mapping[str, Any]) -> None:
    """Warn of what a host's lock came with: what an earlier run had left there, and what stays of it."""
    for text in (answer["left"], answer["recovered"]):
        if text:
            printer.warn(f"{host}: {text}")


def lock_error(error: HostError, environment: str) -> HandrailError:
    """Return what it means for a command that a host did not give its lock."""
    if error.kind == "locked":
        return locked_error(error)
    if error.kind == "return-failed":
        return NeedsPersonError(
            f"{error.host}: {error.message}",
            host=error.host,
            step="lock",
            lines=error.lines,
            next_step=f"look at: inv logs --env {environment}",
        )
    return as_preflight({error.host: error}, "lock")


def locked_error(error: HostError) -> LockedError:
    holder = error.facts.get("holder") or {}
    since = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(holder["since"])) if holder.get("since") else "?"
    what = holder.get("what", "a deploy") + (", whose migration runs" if error.facts.get("migrating") else "")
    return LockedError(
        f"{error.host}: locked by {holder.get('who', 'somebody')} since {since} ({what})",
        host=error.host,
        step="lock",
        next_step="wait for it with --wait SECONDS; a lock whose holder is dead frees itself",
    )
