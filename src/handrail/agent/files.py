"""Files: written whole or not at all, read with patience, deleted although read-only."""

import contextlib
import json
import os
import time

from handrail.agent.refusal import Refused


def write_atomic(path, text, mode=0o600, check=None):
    """Write a file so that a reader, or a power cut, sees the old content or the new.

    ``check`` is called with the name under which the new one is complete; where it raises, the old one stays.
    """
    # Where a folder's files are included, one with a dot at the front is not.
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, ".%s.%d.%d.tmp" % (name, os.getpid(), time.monotonic_ns()))
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        if check is not None:
            check(temporary)
        os.replace(temporary, path)
    except BaseException:
        # On a full disk every inode and block counts.
        os.unlink(temporary)
        raise


def write_as_root(path, text, mode):
    """Write a file where only root may, complete or not at all; through ``sudo -n`` where this is not root."""
    if os.geteuid() == 0:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_atomic(path, text, mode)
        return
    import subprocess

    temporary = path + ".handrail-new"
    for argv, data, written in (
        (["sudo", "-n", "install", "-D", "-m", "%o" % mode, "/dev/stdin", temporary], text.encode(), temporary),
        (["sudo", "-n", "mv", "-f", temporary, path], b"", os.path.dirname(path)),
    ):
        process = subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if process.returncode != 0:
            lines = process.stdout.decode("utf-8", "replace").splitlines()
            raise Refused("service", "cannot write %s with sudo" % path, command=" ".join(argv), lines=lines)
        try:
            # A power cut must not leave an empty file under its name: a host with an empty unit serves nothing.
            sync(written)
        except PermissionError:
            os.sync()


def remove_file(path):
    """Delete a file; that it is not there is as good."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)


def entries(folder, start="", end=""):
    """Return the sorted paths in a folder whose names begin and end so; none where it cannot be read."""
    # Not glob: its patterns are compiled anew in every process, and a folder's name may hold one of its characters.
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [os.path.join(folder, name) for name in sorted(names) if name.startswith(start) and name.endswith(end)]


def read_text(path):
    try:
        # Many small files are read: a text stream takes thrice as long to open.
        with open(path, "rb", buffering=0) as stream:
            text = stream.readall().decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path):
    try:
        return json.loads(read_text(path) or "null")
    except ValueError:
        return None


def sync(path):
    """Wait until a file's content, or a folder's names, are on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_tree(path):
    """Delete a folder whose files may be read-only; a folder that is not there is fine."""
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
        return
    try:
        found = list(os.scandir(path))
    except FileNotFoundError:
        return
    except PermissionError:
        os.chmod(path, 0o700)
        found = list(os.scandir(path))
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
            continue
        try:
            os.unlink(entry.path)
        except FileNotFoundError:
            pass
        except PermissionError:
            os.chmod(path, 0o700)
            os.unlink(entry.path)
    try:
        os.rmdir(path)
    except PermissionError:
        os.chmod(os.path.dirname(path), 0o700)
        os.rmdir(path)


def cannot_be_deleted(what, error):
    """Return the sentence on what this user may not delete, such as what a program wrote there as root."""
    why = "%s%s" % (error.strerror, ": %s" % error.filename if error.filename else "")
    return "%s cannot be deleted (%s); delete it there as root" % (what, why)


def inside(folder, relative):
    """Join a path that came over the wire, refusing one that would leave the folder."""
    parts = relative.split("/")
    if relative.startswith("/") or "\0" in relative or any(p in ("", ".", "..") for p in parts):
        raise Refused("bad-request", "the bundle names an unsafe path: %r" % relative)
    return os.path.join(folder, *parts)
