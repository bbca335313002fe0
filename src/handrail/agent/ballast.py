"""Room that is taken while there is some, so that a host can still decide and return when its disk is full.

A full disk is when a host has to return, and a return writes: the decision, a link, the journal, the history. Whatever
meets a full disk there gives up one piece of the ballast and tries again. A piece is one inode, too.
"""

import errno
import os

from handrail.agent.files import entries

FULL = (errno.ENOSPC, errno.EDQUOT)
PIECES, SIZE = 8, 16384


def load(folder):
    """Take the room; OSError where there is none."""
    os.makedirs(folder, exist_ok=True)
    for number in range(PIECES):
        with open(os.path.join(folder, str(number)), "wb") as stream:
            is_taken = allocate(stream.fileno())
            # Not zeros: some file systems store those for nothing.
            stream.write(os.urandom(SIZE))
            stream.flush()
            if not is_taken:
                os.fsync(stream.fileno())


def allocate(fd):
    """Take the room of a piece now, without waiting for the disk; return whether this file system can."""
    try:
        os.posix_fallocate(fd, 0, SIZE)
    except AttributeError:
        return False
    except OSError as error:
        if error.errno in FULL:
            raise
        return False
    return True


def drop(folder):
    """Give up one piece; return whether there was one."""
    for piece in entries(folder):
        try:
            os.unlink(piece)
            return True
        except FileNotFoundError:
            continue  # another process was quicker
    return False
