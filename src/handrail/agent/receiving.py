"""Cuts the upload's stream of bytes into objects, each stored under its digest."""

import os

from handrail.agent.refusal import Refused

CHUNK = 1 << 18


class Receiver:
    """Cuts one stream of bytes into objects and stores each under its digest.

    Small objects are checked in memory and written under their final name at once, which costs the fewest system
    calls; one that a crash left half written has the wrong size and so does not count (`App.has_object`).
    Large ones are written as they arrive, under a temporary name.
    """

    SMALL = 4 * CHUNK

    def __init__(self, app, objects):
        self.app = app
        self.left = iter(objects)
        self.pending = bytearray()
        self.writer = None
        self.stored = 0
        for name in {digest[:2] for digest, _size in objects}:
            os.makedirs(os.path.join(app.store, "objects", name), exist_ok=True)
        self.wanted = None
        self.advance()

    def advance(self):
        self.wanted = next(self.left, None)
        # An empty object never arrives as bytes.
        while self.wanted is not None and self.wanted[1] == 0:
            self.store(self.wanted[0], b"")
            self.wanted = next(self.left, None)

    def feed(self, data):
        self.pending += data
        position = 0
        while self.wanted is not None and position < len(self.pending):
            digest, size = self.wanted
            if size <= self.SMALL:
                if len(self.pending) - position < size:
                    break
                self.store(digest, self.pending[position : position + size])
                position += size
            else:
                if self.writer is None:
                    self.writer = ObjectWriter(self.app.object_path(digest), digest, size)
                position += self.writer.write(self.pending[position:])
                if not self.writer.is_full():
                    break
                self.writer.close()
                self.writer = None
                self.stored += 1
            self.advance()
        del self.pending[:position]

    def store(self, digest, data):
        import hashlib  # loads OpenSSL: only where something arrives

        if hashlib.sha256(data).hexdigest() != digest:
            raise Refused("digest", "object %s arrived with another content" % digest[:12])
        path = self.app.object_path(digest)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        except FileExistsError:
            os.unlink(path)  # half written when an earlier upload died
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        except OSError:
            os.unlink(path)
            raise
        finally:
            os.close(fd)
        self.stored += 1


class ObjectWriter:
    """Writes one large object as it arrives; it gets its name only when its digest is right."""

    def __init__(self, path, digest, size):
        self.path = path
        self.digest = digest
        self.left = size
        self.temporary = "%s.%d.tmp" % (path, os.getpid())
        import hashlib

        self.hash = hashlib.sha256()
        self.stream = open(self.temporary, "wb")

    def write(self, data):
        part = data[: self.left]
        self.stream.write(part)
        self.hash.update(part)
        self.left -= len(part)
        return len(part)

    def is_full(self):
        return self.left == 0

    def close(self):
        self.stream.close()
        if self.hash.hexdigest() != self.digest:
            os.unlink(self.temporary)
            raise Refused("digest", "object %s arrived with another content" % self.digest[:12])
        os.chmod(self.temporary, 0o444)
        os.replace(self.temporary, self.path)
