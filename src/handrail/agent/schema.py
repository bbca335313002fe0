"""The database's schema as a release's own commands see it: its present state, and the way up again."""

import os
import re

from handrail.agent.commands import how_it_ended, run
from handrail.agent.refusal import Refused

# `alembic current` marks a revision by its place in the release's own files, which says nothing about the database.
MARK = re.compile(r"\s+\((?:effective )?(?:head|branchpoint|mergepoint)\)")


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
    return "\n".join(MARK.sub("", line).strip() for line in done.stdout.decode("utf-8", "replace").strip().splitlines())


def raise_again(app, state):
    """Bring the schema up to the release that a rollback was leaving; return why not, or ""."""
    leaving = state["from"]
    code, lines = run([app.release(leaving, ".handrail", "run-migrate")], 3600)
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
