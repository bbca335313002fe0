"""A wire between client and host that a test can cut, freeze or slow down.

`Wire` listens on loopback and passes bytes on to a host's SSH server. `Wire.host` is the same host, reached
through the wire; a project deploys to that one, and the test looks at the real one.
"""

from __future__ import annotations

import copy
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from handrail.testing.host import Host, wait_until

_Host = TypeVar("_Host", bound=Host)
_CHUNK = 1 << 14


class Wire(Generic[_Host]):
    """A TCP proxy in front of one host's SSH server.

    Attributes:
        host: the host as seen through the wire.
        sent: bytes that clients have sent to the host so far.
        rate: bytes a second towards the host; 0: no limit.
        cut_at: cut all connections once, as soon as clients have sent so many bytes; 0: never.
    """

    def __init__(self, host: _Host, folder: Path) -> None:
        self.sent = 0
        self.rate = 0
        self.cut_at = 0
        # Asked at each connection: a reboot may give the host another address.
        self._target = host
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self._closed = threading.Event()
        self.host = copy.copy(host)
        self.host.address, self.host.port = self._server.getsockname()[:2]
        self.host.client_folder = folder

    def __enter__(self) -> Wire[_Host]:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._flowing.set()
        # Closing a listening socket does not wake the thread that waits on it: knock.
        with socket.socket() as knock:
            knock.connect_ex((self.host.address, self.host.port))
        self.cut()
        for thread in list(self._threads):
            thread.join(5)
        self._server.close()

    def cut(self) -> None:
        """End all connections at once, as a reset that both sides notice; new ones can be made."""
        with self._guard:
            for connection in self._sockets:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def freeze(self) -> None:
        """Pass nothing on any more, without telling either side: a cable that was pulled."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let bytes pass again."""
        self._flowing.set()

    def wait_for_bytes(self, count: int, seconds: float = 30.0) -> None:
        """Wait until clients have sent this many bytes since the wire was made."""
        wait_until(lambda: self.sent >= count, f"{count} bytes on the wire", seconds)

    def _start(self, work: Callable[..., None], *words: object) -> None:
        thread = threading.Thread(target=work, args=words, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            client, _ = self._server.accept()
            if self._closed.is_set():
                client.close()
                return
            try:
                server = socket.create_connection((self._target.address, self._target.port), 10)
            except OSError:
                client.close()
                continue
            with self._guard:
                self._sockets.update((client, server))
            done = threading.Semaphore(0)
            self._start(self._pass_on, client, server, True, done)
            self._start(self._pass_on, server, client, False, done)
            self._start(self._close, client, server, done)

    def _pass_on(self, source: socket.socket, goal: socket.socket, is_upload: bool, done: threading.Semaphore) -> None:
        try:
            while data := source.recv(_CHUNK):
                self._flowing.wait()
                goal.sendall(data)
                if is_upload:
                    self.sent += len(data)
                    if self.cut_at and self.sent >= self.cut_at:
                        self.cut_at = 0
                        self.cut()
                    if self.rate:
                        time.sleep(len(data) / self.rate)
            goal.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, goal):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
        finally:
            done.release()

    def _close(self, client: socket.socket, server: socket.socket, done: threading.Semaphore) -> None:
        done.acquire()
        done.acquire()
        with self._guard:
            self._sockets.difference_update((client, server))
        client.close()
        server.close()
