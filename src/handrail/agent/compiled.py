"""The agent's compiled form, kept on the host, because compiling takes longer than all else of its start.

It is kept where programs keep such things (``~/.cache``), by whoever changes this host anyway, and it is only a
shortcut: a file that is missing, damaged, somebody else's or of another Python is passed over.
"""

import glob
import marshal
import os
import sys
import zlib

_kept = {"codes": {}, "path": "", "fresh": False}


def load(digest, codes):
    """Add the code objects of the agent with this digest to ``codes``, by module, where they were kept."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    _kept.update(codes=codes, path=os.path.join(home, "handrail", "agent-%s-%x" % (digest[:16], sys.hexversion)))
    try:
        with open(_kept["path"], "rb") as stream:
            facts = os.fstat(stream.fileno())
            if facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
                return
            checksum, data = int(stream.readline()), stream.read()
        if zlib.crc32(data) == checksum:
            codes.update(marshal.loads(data))  # noqa: S302 - our own file, as sure as the code that reads it
            _kept["fresh"] = True
    except (OSError, ValueError, EOFError, TypeError):
        return


def keep():
    """Keep the code objects for the next start, in the place of older ones. Best effort."""
    if _kept["fresh"] or not _kept["path"]:
        return
    path = _kept["path"]
    temporary = "%s.%d.tmp" % (path, os.getpid())
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        data = marshal.dumps(_kept["codes"])
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as stream:
            stream.write(b"%d\n" % zlib.crc32(data) + data)
        os.rename(temporary, path)
        _kept["fresh"] = True
        for other in glob.glob(os.path.join(os.path.dirname(path), "agent-*")):
            if other != path and not other.endswith(".tmp"):
                os.unlink(other)
    except OSError:
        return
