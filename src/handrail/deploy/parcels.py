"""What is uploaded, read and compressed once for all hosts that lack the same objects.

Compressing is the dearest part of a large upload, dearer than its encryption, and the hosts of a fleet as a rule lack
the same. The first host that asks starts it; all of them send what is there and follow as it grows.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.errors import TaskFailedError

if TYPE_CHECKING:
    from typing_extensions import Self

FRAME = 1 << 17
"""Bytes that travel as one frame, about."""

Object = tuple[str, int, Path]
"""An object as (sha256, size in bytes, local path)."""


class Parcels:
    """Makes each parcel once; a context that removes its temporary files."""

    def __init__(self) -> None:
        self._parcels: dict[bytes, _Parcel] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for parcel in self._parcels.values():
            parcel.close()

    def frames(self, objects: Sequence[Object], *, compressed: bool) -> Iterator[bytes]:
        """Yield the objects' bytes as frames, compressed as one stream or raw; any thread may ask.

        Raises:
            TaskFailedError: a file cannot be read, or this machine's disk is full.
        """
        paths = [path for _, _, path in objects]
        if not compressed:
            yield from _frames(paths, None)
            return
        key = hashlib.sha256("".join(sha for sha, _, _ in objects).encode()).digest()
        with self._guard:
            if key not in self._parcels:
                self._parcels[key] = _Parcel(paths)
        yield from self._parcels[key].frames()


class _Parcel:
    """One compressed stream, which a thread writes into an unnamed file while others read it."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this object
        self._ready = 0
        self._ended = False
        self._stopped = False
        self._error: OSError | None = None
        self._grown = threading.Condition()
        self._thread = threading.Thread(target=self._make, args=(paths,), daemon=True)
        self._thread.start()

    def _make(self, paths: Sequence[Path]) -> None:
        try:
            for frame in _frames(paths, zlib.compressobj(1)):
                if self._stopped:
                    return
                self._file.write(frame)
                self._file.flush()
                with self._grown:
                    self._ready += len(frame)
                    self._grown.notify_all()
        except OSError as error:
            self._error = error
        finally:
            with self._grown:
                self._ended = True
                self._grown.notify_all()

    def frames(self) -> Iterator[bytes]:
        sent = 0
        while True:
            with self._grown:
                while not self._ended and self._ready == sent:
                    self._grown.wait()
                ready, ended = self._ready, self._ended
            if self._error:
                reason = (self._error.strerror or str(self._error)).lower()
                where = self._error.filename or "this machine's disk"
                raise TaskFailedError(f"cannot pack what is uploaded: {where}: {reason}")
            while sent < ready:
                frame = os.pread(self._file.fileno(), min(FRAME, ready - sent), sent)
                sent += len(frame)
                yield frame
            if ended and sent == self._ready:
                return

    def close(self) -> None:
        self._stopped = True
        self._thread.join()
        self._file.close()


def _frames(paths: Iterable[Path], packer: zlib._Compress | None) -> Iterator[bytes]:
    pending = bytearray()
    for path in paths:
        with path.open("rb") as stream:
            while chunk := stream.read(FRAME):
                pending += packer.compress(chunk) if packer else chunk
                if len(pending) >= FRAME:
                    yield bytes(pending)
                    pending.clear()
    pending += packer.flush() if packer else b""
    if pending:
        yield bytes(pending)
