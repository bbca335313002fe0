"""One host's agent, from the client's side: one SSH channel for a whole deploy.

A session is used by one thread at a time for calls; pings and cancellation may come from others, so every
write is one locked unit.
"""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail import agent
from handrail.deploy.connect import connect
from handrail.errors import HandrailError

if TYPE_CHECKING:
    from handrail.config.target import Target
    from handrail.deploy.parcels import Object

# What all sessions send is made by the first, not by every thread.
_preparing = threading.Lock()
Dial = Callable[[str, "Target", Path], Any]

# The agent beats every 2 s, whatever it does: a silence of this many seconds is a dead link or a frozen host.
SILENCE = 20.0
# What may travel in the command that starts the agent, where everybody on the host can read it: no such request has a
# place for a value of the project's.
PUBLIC = ("hello", "lock", "examine")
# How often a connection is made before a host counts as lost that closes it at once.
OPENINGS = 3


class HostError(HandrailError):
    """A host's failure, before the engine has decided what it means for the fleet.

    ``kind`` is the agent's word for it; ``lost`` means that the connection, not the host, failed.
    """

    def __init__(self, host: str, kind: str, message: str, **facts: Any) -> None:
        self.kind = kind
        self.facts = facts
        super().__init__(
            message,
            host=host,
            command=facts.get("command", ""),
            returncode=facts.get("returncode"),
            lines=facts.get("lines", ()),
        )


class Session:
    """Speaks with one host's agent.

    Args:
        host: as the user wrote it.
        lease: seconds after which the agent gives up on a silent client.
        dial: opens a connection to it; None: `connect`.

    Attributes:
        packages: what travels beside the agent's modules.
        main: the module whose ``main`` runs on the host.
    """

    packages: tuple[str, ...] = ()
    main = "handrail.agent.main"

    def __init__(self, host: str, target: Target, root: Path, dial: Dial | None = None) -> None:
        self.host = host
        self._dial = dial
        self.facts: dict[str, Any] = {}
        self.bytes_sent = 0
        self.channels = 0
        self.asked = 0
        self._with_hello: tuple[str, dict[str, Any]] | None = None
        self._target = target
        self._root = root
        self._write_lock = threading.Lock()
        self._next_id = 0
        self._hello = 0
        self._asked_before = 0
        self._cancelled = threading.Event()
        # Pings come from another thread, also while an agent is started: what it reads first must be itself.
        self._speaks = False
        self._may_hold_lock = False
        self._connection: Any = None
        self._channel: Any = None
        self._lines: Any = None

    def ask_with_hello(self, op: str, **params: Any) -> None:
        """Have the next `open` send one more request with its first one; ``wait(session.asked)`` gives the answer.

        Raises:
            ValueError: it is none of those that hold nothing secret.
        """
        if op not in PUBLIC:
            raise ValueError(f"{op} would be for everybody to read on the host")
        self._with_hello = (op, params)

    def open(self) -> dict[str, Any]:
        """Connect, start the agent and return what it says of its host (``hello``, and the ``address`` here)."""
        for left in reversed(range(OPENINGS)):
            self._asked_before = self._next_id
            self._connection = (self._dial or connect)(self.host, self._target, self._root)
            try:
                with _preparing:
                    command = agent.command(self._first(), *self.packages, main=self.main)
                self._start(command)
                self.bytes_sent += len(command)
                self._skip_to_marker()
                break
            except HostError as error:
                # A server that lets in and hangs up; nothing has been changed there yet.
                hung_up = error.kind == "lost" and (self._channel is None or self._channel.closed)
                self.close()
                if not hung_up or not left:
                    raise
        self.facts = {**self.wait(self._hello), "address": self.host}
        self._with_hello = None
        return self.facts

    def look(self) -> dict[str, Any]:
        """Ask again what `open` has returned."""
        self.facts = {**self.call("hello", **self._greeting()), "address": self.host}
        return self.facts

    def _greeting(self) -> dict[str, Any]:
        return {"root": self._target.root, "app": self._target.app, "silence": self._target.lease}

    def _first(self) -> tuple[bytes, ...]:
        """Return the requests that travel with the command."""
        self._hello, line = self._numbered("hello", self._greeting())
        if not self._with_hello:
            return (line,)
        self.asked, second = self._numbered(*self._with_hello)
        return (line, second)

    def _start(self, command: str) -> None:
        """Open a channel and run a command in it."""
        import paramiko

        self._speaks = False
        try:
            self._channel = self._connection.transport.open_session(timeout=SILENCE)
            self.channels += 1
            self._channel.settimeout(SILENCE)
            # Paramiko waits for the server's word that the command was started; the agent's own first word says it as
            # well, so what the agent needs goes on its way at once.
            self._channel._wait_for_event = lambda: None
            self._channel.exec_command(command)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise HostError(self.host, "lost", f"the connection was lost: {str(error) or 'closed'}") from None
        self._lines = self._channel.makefile("rb", -1)

    def _skip_to_marker(self) -> None:
        said = []
        while line := self._read_line():
            if agent.MARKER.encode() in line:
                self._speaks = True
                return
            if agent.WANTED.encode() in line:
                self._send(agent.text(*self.packages))
                continue
            said.append(line)
        status, noise = self._ended(said)
        why = "it needs python3 (3.8 or newer) on its PATH" if status == 127 else "its answer is below"
        raise HostError(self.host, "agent", f"the agent did not start: {why}", returncode=status, lines=noise[-10:])

    def _ended(self, said: Sequence[bytes]) -> tuple[int, list[str]]:
        """Return the exit status and all words of a command that ended before it said what it should.

        Args:
            said: the lines of its standard output.

        Raises:
            HostError: it has no status, and stopped in the middle of a line or said nothing: the connection was cut.
        """
        errors = self._channel.makefile_stderr("rb").read(4096)
        words = (b"".join(said) + errors).decode("utf-8", "replace").splitlines()
        # The status of a command may come after the end of its output; of a connection that was cut, none comes.
        status: int = self._channel.recv_exit_status() if self._channel.status_event.wait(SILENCE) else -1
        in_a_line = bool(said) and not said[-1].endswith(b"\n")
        if status == -1 and (in_a_line or not words):
            raise HostError(self.host, "lost", "the connection was lost before the answer came", lines=words[-10:])
        return status, words

    def _read_line(self) -> bytes:
        try:
            line: bytes = self._lines.readline()
        except (OSError, EOFError) as error:
            text = f"no sign of life for {SILENCE:.0f} s" if isinstance(error, TimeoutError) else str(error)
            raise HostError(self.host, "lost", f"the connection was lost: {text or 'closed'}") from None
        return line

    def _send(self, data: bytes) -> None:
        try:
            with self._write_lock:
                self._channel.sendall(data)
        except (OSError, EOFError, AttributeError) as error:
            raise HostError(self.host, "lost", f"the connection was lost: {error or 'closed'}") from None
        self.bytes_sent += len(data)

    def post(self, op: str, payload: bytes = b"", **params: Any) -> int:
        """Send a request and do not wait: `wait` for its number. Requests are served in their order.

        With ``after=number`` the agent refuses it (kind ``skipped``) where that earlier request failed.
        """
        number, line = self._numbered(op, {**params, "bytes": len(payload)} if payload else params)
        self._send(line + payload)
        return number

    def _numbered(self, op: str, params: Mapping[str, Any]) -> tuple[int, bytes]:
        self._next_id += 1
        if op in ("lock", "unlock"):
            self._may_hold_lock = op == "lock"
        request = {"id": self._next_id, "op": op, **params}
        return self._next_id, json.dumps(request, separators=(",", ":")).encode() + b"\n"

    def _read(self, count: int) -> bytes:
        try:
            data: bytes = self._lines.read(count)
        except (OSError, EOFError) as error:
            raise HostError(self.host, "lost", f"the connection was lost: {error or 'closed'}") from None
        return data

    def wait(
        self,
        number: int,
        on_event: Callable[[dict[str, Any]], None] | None = None,
        on_data: Callable[[bytes], None] | None = None,
    ) -> dict[str, Any]:
        """Return the answer to a posted request; answers to earlier ones that nobody waited for are passed over.

        Args:
            on_data: called with each piece of the raw bytes that the agent delivers.

        Raises:
            HostError: the agent refused, or the connection was lost.
        """
        if number <= self._asked_before:
            raise HostError(self.host, "lost", "the connection was lost before the answer came")
        while True:
            line = self._read_line()
            if not line.endswith(b"\n"):
                # Nothing more comes; what a cut leaves of an answer is read like a line.
                raise HostError(self.host, "lost", "the connection was lost: the agent ended")
            answer = json.loads(line)
            data = self._read(answer["bytes"]) if "bytes" in answer else None
            if answer.get("id") != number:
                continue
            if data is not None:
                if on_data:
                    on_data(data)
                continue
            if "event" in answer:
                if on_event:
                    on_event(answer["event"])
                continue
            if answer["ok"]:
                result: dict[str, Any] = answer["result"]
                return result
            error = dict(answer["error"])
            raise HostError(self.host, error.pop("kind"), error.pop("message"), **error)

    def call(
        self,
        op: str,
        *,
        payload: bytes = b"",
        on_event: Callable[[dict[str, Any]], None] | None = None,
        **params: Any,
    ) -> dict[str, Any]:
        """Ask the agent for one operation and wait for its answer.

        Raises:
            HostError: the agent refused, or the connection was lost.
        """
        return self.wait(self.post(op, payload, **params), on_event)

    def put(
        self, objects: Sequence[Object], frames: Iterable[bytes], *, compressed: bool, after: int | None = None
    ) -> int:
        """Stream objects in one request, and do not wait; ``frames`` are their bytes, see `handrail.deploy.parcels`."""
        shape = [[sha, size] for sha, size, _ in objects]
        number = self.post("put", objects=shape, compressed=compressed, after=after)
        for frame in frames:
            if self._cancelled.is_set():
                break
            self._send(b'{"op":"data","bytes":%d}\n' % len(frame) + frame)
        self._send(b'{"op":"end"}\n')
        return number

    def ping(self) -> None:
        """Renew the lease. Failures show at the next call."""
        if not self._speaks:
            return
        try:
            self._send(b'{"op":"ping"}\n')
        except HostError:
            return

    def cancel(self) -> None:
        """Ask the agent to stop what it does; the call that waits for it ends soon, in its own thread."""
        self._cancelled.set()
        if not self._speaks:
            return
        try:
            self._send(b'{"op":"cancel","upto":%d}\n' % self._next_id)
        except HostError:
            return

    def revive(self) -> None:
        """Forget a cancellation, so that calls can be made again."""
        self._cancelled.clear()

    def reopen(self) -> dict[str, Any]:
        """Connect again after the connection was lost."""
        self.close()
        return self.open()

    @property
    def is_open(self) -> bool:
        channel = self._channel  # another thread may hang up meanwhile
        return channel is not None and not channel.closed

    def close(self, *, at_once: bool = False) -> None:
        """Say goodbye and hang up; never raises.

        Args:
            at_once: do not wait until the host's lock is free: that takes the agent as long as the goodbye travels.
        """
        if self._channel is not None:
            if not self._channel.closed:
                try:
                    self._send(b'{"op":"bye","id":0}\n')
                    if self._may_hold_lock and not at_once:
                        # The agent holds it until it ends: whoever sees us end may want it.
                        self._channel.settimeout(2)
                        deadline = time.monotonic() + 3
                        while self._lines.readline() and time.monotonic() < deadline:
                            pass
                except (HostError, OSError, EOFError):
                    pass
            self._channel = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def pack(manifest: Mapping[str, Any]) -> bytes:
    """Return the payload of ``offer``; ``missing`` in its answer: indices of unique objects that a host lacks."""
    return zlib.compress(json.dumps(manifest, separators=(",", ":")).encode(), 6)
