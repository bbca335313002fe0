"""Acting as the deploying user."""

import contextlib
import os
import pwd

from handrail.agent.commands import run


@contextlib.contextmanager
def acting_as(user):
    """Touch files as ``user``; as root where it is empty."""
    if not user or os.geteuid() != 0:
        yield
        return
    account = pwd.getpwnam(user)
    groups = os.getgroups()
    os.initgroups(user, account.pw_gid)
    os.setegid(account.pw_gid)
    os.seteuid(account.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def run_as(user, argv, timeout=120.0, env=None, emit=None):
    """Run a command as ``user``, in the home folder; as root where it is empty. See `handrail.agent.commands.run`."""
    environment = dict(os.environ, **(env or {}))
    folder = "/"
    if user:
        account = pwd.getpwnam(user)
        environment.update(HOME=account.pw_dir, USER=user, LOGNAME=user)
        argv = ["runuser", "-u", user, "--", *argv]
        folder = account.pw_dir if os.path.isdir(account.pw_dir) else "/"
    return run(argv, timeout, env=environment, cwd=folder, emit=emit)
