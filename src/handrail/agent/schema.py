"""The database's schema as a release's own commands see it: its present state, and the ways up and down."""

import fcntl
import os
import re

from handrail.agent.commands import how_it_ended, run
from handrail.agent.files import read_json
from handrail.agent.refusal import Refused

# `alembic current` marks a revision by its place in the release's own files, which says nothing about the database.
MARK = r"\s+\((?:effective )?(?:head|branchpoint|mergepoint)\)"


def state_of(app, release):
    """Return what the release's ``migrate_state`` prints, trimmed; None where it declares none."""
    launcher = app.release(release, ".handrail", "run-migrate-state")
    if not os.path.exists(launcher):
        return None
    import subprocess

    try:
        # Not `run`, which joins the streams: tools log to standard error, and that is no part of the state.
        done = subprocess.run(
            [launcher], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300
        )
    except subprocess.TimeoutExpired:
        raise Refused("command", "migrate_state did not end within 300 s") from None
    except OSError as error:
        raise Refused("command", "migrate_state: %s" % os.strerror(error.errno or 0)) from None
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).decode("utf-8", "replace").splitlines()
        raise Refused(
            "command", "migrate_state %s" % how_it_ended(done.returncode), returncode=done.returncode, lines=lines[-30:]
        )
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    return "\n".join(re.sub(MARK, "", line).strip() for line in lines)


def run_migration(app, launcher, **how):
    """Run a release's ``migrate`` or ``migrate_down``; return (returncode, output lines).

    It holds a lock of its own, ``migrating``: where the agent is killed, its lock is free and the migration goes on.
    Nobody else gets the host until it has ended (`locking.take`), and no two change the schema at once.
    """
    with open(app.path("migrating"), "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return run([launcher], 3600, keep=[lock.fileno()], outlives=True, **how)
        finally:
            # Closing would not do: a daemon that the migration left behind holds the descriptor as well.
            fcntl.flock(lock, fcntl.LOCK_UN)


def is_migrating(app):
    """Whether a migration runs here, also one whose agent was killed."""
    try:
        with open(app.path("migrating"), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def declared_irreversible(app, release):
    """Return the names of the migrations that a release declares as ones that cannot be undone."""
    return (read_json(app.release(release, ".handrail", "irreversible.json")) or []) if release else []


def crossed(declared, known, schema, lines):
    """Return which of the irreversible migrations were applied by a run of ``migrate`` that changed the schema.

    The state tells, or what ``migrate`` printed. Where neither names a migration (`alembic current` knows the last one
    only, and logs may be off), its declaration does: it is new since the release that serves.

    Args:
        declared, known: the names that the new release declares, and the one that serves.
        schema: the states ``before`` and ``after``, or None where the release cannot tell them.
        lines: what ``migrate`` printed.
    """
    before, after = (schema["before"] or "", schema["after"] or "") if schema else ("", "")
    said = "\n".join([after, *lines])
    found = []
    for name in declared:
        if not names(name, before) and (names(name, said) or name not in known):
            found.append(name)
    return found


def names(name, text):
    """Whether a text holds this name as a whole: ``0007_drop`` is not in ``0007_drop_column``."""
    return re.search(r"(?<!\w)%s(?!\w)" % re.escape(name), text) is not None


def raise_again(app, state):
    """Bring the schema up to the release that a rollback was leaving; return why not, or ""."""
    leaving = state["from"]
    code, lines = run_migration(app, app.release(leaving, ".handrail", "run-migrate"))
    if code != 0:
        last = "; ".join(lines[-2:])
        return "release %s serves, and bringing its schema up again %s: %s" % (leaving, how_it_ended(code), last)
    try:
        now = state_of(app, leaving)
    except Refused as error:
        return "release %s serves, and the state of its schema is unknown: %s" % (leaving, error)
    if now != state["lowered"]["from"]:
        return "release %s serves with the schema at %r; it was at %r" % (leaving, now, state["lowered"]["from"])
    return ""
