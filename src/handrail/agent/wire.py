"""The agent's side of the protocol: one process, one client, JSON lines both ways.

The client writes one JSON object a line: ``{"id": 7, "op": "prepare", ...}``; where it has ``"bytes": n``, n raw bytes
follow the line. The agent answers in JSON lines: any number of ``{"id": 7, "event": {...}}``, then
``{"id": 7, "ok": true, "result": {...}}`` or ``{"id": 7, "ok": false, "error": {"kind", "message", ...}}``. A line
of its own, ``{"id": 7, "bytes": n}``, says that n raw bytes follow.
Requests are served in order, so the client may send the next ones before it has an answer; one with ``"after": 7`` is
refused where request 7 failed. In no order come ``ping`` and ``cancel``, which a reader thread takes at once; ``upto``
of a ``cancel`` is the number of the last request that is meant, which may still wait in the queue.
"""

import errno
import json
import os
import queue
import select
import threading
import time

from handrail.agent.protocol import MARKER
from handrail.agent.refusal import Refused
from handrail.agent.transaction import Transaction


class Agent:
    """Serves one client: requests in, in their order; answers and events out.

    Args:
        operation: gives the function that serves a request by its name; called with agent, request and its bytes.
    """

    def __init__(self, operation, stdin, stdout):
        self.operation = operation
        self.stdin = stdin
        self.stdout = stdout
        self.out_lock = threading.Lock()
        self.requests = queue.Queue(maxsize=8)
        self.gone = threading.Event()
        self.stop = threading.Event()
        self.heard = time.monotonic()
        self.silence = 3600.0
        self.received = 0
        self.app = None
        self.lock_fd = None
        self.manifest = None
        self.serving = None
        self.turn_lock = threading.Lock()
        self.cancelled = 0
        self.joined = ""
        self.failed = set()
        self.syncing = None
        self.guardian = None
        self.moves = False
        self.counting = None

    def send(self, document, payload=b""):
        data = (json.dumps(document) + "\n").encode() + payload
        try:
            with self.out_lock:
                self.write(data)
        except (OSError, ValueError):
            self.lose_client()

    def write(self, data):
        """Write all of it, unless the client is given up: one that hangs reads nothing, and a plain write waits."""
        out = self.stdout.fileno()
        view = memoryview(data)
        while view:
            if select.select([], [out], [], 1.0)[1]:
                # No more than what is sure to fit now.
                view = view[os.write(out, view[: select.PIPE_BUF]) :]
            elif self.gone.is_set() or self.is_silent():
                raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))

    def event(self, **facts):
        # A client that hangs takes a second for each.
        if not self.gone.is_set():
            self.send({"id": self.serving, "event": facts})

    def deliver(self, data):
        self.send({"id": self.serving, "bytes": len(data)}, data)

    def read_requests(self):
        """Runs in a thread: takes pings at once, queues the rest, notices the client's death."""
        try:
            while True:
                line = self.stdin.readline()
                if not line:
                    break
                self.heard = time.monotonic()
                self.received += len(line)
                request = json.loads(line)
                payload = b""
                if request.get("bytes"):
                    payload = self.stdin.read(request["bytes"])
                    if len(payload) < request["bytes"]:
                        break
                    self.received += len(payload)
                    self.heard = time.monotonic()
                if request["op"] == "ping":
                    # A host that is set up has a lock of another kind, and no app.
                    if self.app is not None and (self.lock_fd is not None or self.has_joined()):
                        Transaction(self.app).renew_lease()
                    continue
                if request["op"] == "cancel":
                    self.cancel(request.get("upto", self.serving or 0))
                    continue
                self.requests.put((request, payload))
        except (OSError, ValueError):
            pass
        self.lose_client()
        self.requests.put((None, b""))

    def cancel(self, upto):
        """Stop what is being done and what waits in the queue, up to this request's number."""
        with self.turn_lock:
            self.cancelled = upto
            if (self.serving or 0) <= upto:
                self.stop.set()

    def take_turn(self, number):
        """Begin a request: what stopped the one before stops this one only if it was meant, too."""
        with self.turn_lock:
            self.serving = number
            if number <= self.cancelled:
                self.stop.set()
            elif not self.gone.is_set():
                self.stop.clear()

    def has_joined(self):
        """Tell whether the transaction here is still the one that this agent goes on with, see `locking.rejoin`."""
        return bool(self.joined) and (Transaction(self.app).state() or {}).get("deploy") == self.joined

    def lose_client(self):
        self.gone.set()
        self.stop.set()

    def is_silent(self):
        return time.monotonic() - self.heard > self.silence

    def watch_silence(self):
        """Runs in a thread: a connection that is cut without a word looks open for hours; both sides' beats tell."""
        while not self.gone.wait(2.0):
            self.send({"beat": 1})
            if self.is_silent():
                self.lose_client()
                try:
                    self.requests.put_nowait((None, b""))
                except queue.Full:
                    pass

    def next_request(self):
        while True:
            try:
                return self.requests.get(timeout=1.0)
            except queue.Empty:
                if self.gone.is_set():
                    return None, b""
                continue

    def serve(self):
        threading.Thread(target=self.read_requests, daemon=True).start()
        threading.Thread(target=self.watch_silence, daemon=True).start()
        self.send({"marker": MARKER})
        while True:
            request, payload = self.next_request()
            if request is None or request["op"] == "bye":
                break
            if request["op"] in ("data", "end"):
                continue  # the rest of an upload that was refused in the middle
            self.take_turn(request["id"])
            if request.get("after") in self.failed:
                self.fail("skipped", "an earlier request failed")
                continue
            try:
                result = self.operation(request.pop("op"))(self, request, payload)
                self.send({"id": self.serving, "ok": True, "result": result})
            except Refused as error:
                self.fail(error.kind, str(error), **error.facts)
            except OSError as error:
                kind = "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "os"
                self.fail(kind, "%s%s" % (error.strerror, ": " + str(error.filename) if error.filename else ""))
            except Exception as error:
                import traceback

                self.fail("bug", "%s: %s" % (type(error).__name__, error), lines=traceback.format_exc().splitlines())

    def fail(self, kind, message, **facts):
        error = {"kind": kind, "message": message}
        error.update(facts)
        self.failed.add(self.serving)
        self.send({"id": self.serving, "ok": False, "error": error})
