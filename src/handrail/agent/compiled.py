"""Keeps the agent's compiled form on the host, for `handrail.agent.starting`.

The next one needs neither to travel nor to be compiled, which takes longer than all else of its start.
"""

import marshal
import os
import zlib

from handrail.agent.files import entries

VERSIONS = 4
"""So many are kept: projects that deploy to one host may use different versions of the toolkit."""


def keep():
    """Keep the code objects for the next start. Best effort."""
    modules = __spec__.loader
    path = getattr(modules, "path", "")
    # Where it was not started by its first part, as in a test, nothing is kept.
    if not hasattr(modules, "is_kept") or not path or modules.is_kept:
        return
    temporary = "%s.%d.tmp" % (path, os.getpid())
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        data = marshal.dumps({name: modules.code(name) for name in modules.texts})
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(fd, "wb") as stream:
                stream.write(b"%d\n" % zlib.crc32(data) + data)
            os.rename(temporary, path)
        except OSError:
            # On a full disk every block counts.
            os.unlink(temporary)
            raise
        modules.is_kept = True
        names = entries(os.path.dirname(path), "agent-")
        others = sorted((name for name in names if name != path and not name.endswith(".tmp")), key=os.path.getmtime)
        for other in others[: -(VERSIONS - 1)]:
            os.unlink(other)
    except OSError:
        return
