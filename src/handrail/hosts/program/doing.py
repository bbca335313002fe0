"""Carries out steps, one action after the other, and stops between two when the client is gone.

Each action looks before it writes, so that a file which is right already keeps its time. What runs is always
finished: half an installation would be worse than one too many.
"""

import contextlib
import fcntl
import functools
import os
import pwd
import time

from handrail.agent.commands import how_it_ended, run
from handrail.agent.files import entries, write_atomic
from handrail.agent.refusal import Refused
from handrail.hosts.program.account import acting_as, run_as
from handrail.hosts.program.looking import owner_and_mode, read_text

LOCK = "/run/lock/handrail-host-setup"
PATIENCE = 30.0


def do(program, request, _payload):
    """Return {"failed": {step: lines}} of the commands that were allowed to fail."""
    take_lock(program)
    failed = {}
    for step in request["steps"]:
        program.event(step=step["name"], state="start")
        started = time.monotonic()
        for action in step["actions"]:
            if program.stop.is_set():
                raise Refused("interrupted", "stopped before: %s" % step["name"])
            try:
                lines = ACTIONS[action["kind"]](program, action)
            except OSError as error:
                message = "%s: %s" % (error.filename or action.get("path", ""), error.strerror)
                raise Refused("step", message, step=step["name"]) from None
            except Refused as error:
                error.facts["step"] = step["name"]
                raise
            if lines:
                failed[step["name"]] = lines
        program.event(step=step["name"], state="done", seconds=round(time.monotonic() - started, 3))
    return {"failed": failed}


def take_lock(program):
    """Refuse a second set-up of this host at the same time; the kernel frees the lock when this process ends.

    One whose client died still finishes what runs, so a while is worth waiting.
    """
    if program.lock_fd is not None:
        return
    fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if time.monotonic() > deadline or program.stop.wait(0.2):
                os.close(fd)
                raise Refused("locked", "somebody else is setting up this host") from None
    program.lock_fd = fd


def run_command(program, action):
    argv = action["argv"]
    code, lines = run_as(
        action.get("user"),
        argv,
        action.get("timeout", 60.0),
        env=action.get("env"),
        emit=lambda line: program.event(line=line),
    )
    if code == 0:
        return None
    if action.get("may_fail"):
        return lines[-20:] or ["`%s` %s" % (" ".join(argv), how_it_ended(code))]
    raise Refused(
        "step",
        "`%s` %s" % (" ".join(argv), how_it_ended(code)),
        command=" ".join(argv),
        returncode=code,
        lines=lines[-20:],
    )


def make_folder(_program, action):
    """Make a folder and what is above it; give it its owner and mode."""
    path, owner = action["path"], action.get("owner")
    with acting_as(action.get("user")):
        os.makedirs(path, mode=0o755, exist_ok=True)
        found = owner_and_mode(path)
        if owner:
            account = pwd.getpwnam(owner)
            if (found["uid"], found["gid"]) != (account.pw_uid, account.pw_gid):
                os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
        if found["mode"] != action["mode"]:
            os.chmod(path, action["mode"])


def write_file(_program, action):
    """Write a file, complete or not at all, and only after its check has passed."""
    path, content, mode = action["path"], action["content"], action["mode"]
    with acting_as(action.get("user")):
        if read_text(path) == content:
            if owner_and_mode(path)["mode"] != mode:
                os.chmod(path, mode)
            return
        folder, name = os.path.split(path)
        for left in entries(folder, ".%s." % name, ".tmp"):
            os.unlink(left)  # a set-up was killed here, and this one has its lock
        write_atomic(path, content, mode, functools.partial(check_file, action))


def check_file(action, temporary):
    argv = [word.replace("{}", temporary) for word in action.get("check", ())]
    if not argv:
        return
    code, lines = run(argv)
    if code != 0:
        path = action["path"]
        raise Refused(
            "step",
            "%s was not written, because it did not pass its check" % path,
            command=" ".join(argv).replace(temporary, path),
            returncode=code,
            lines=[line.replace(temporary, path) for line in lines[-20:]],
        )


def unlink(_program, action):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(action["path"])


ACTIONS = {"run": run_command, "folder": make_folder, "write": write_file, "unlink": unlink}
