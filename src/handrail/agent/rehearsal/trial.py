"""The requests of a rehearsal, in their order: look, make the release, copy the database, migrate up and down, end.

The release is made in ``rehearsal/<id>/``, which no deploy, rollback or status looks at. Nothing is written outside of
``rehearsal/`` but the store's objects, which the deploy that follows needs anyway, and the copy on a server. Before
anything migrates, the release's own ``migrate_state`` has to show that the database variable is what it listens to:
with the variable pointing nowhere it must not find the same state as in the copy.
"""

import os
import shutil
import time

from handrail.agent import leftovers
from handrail.agent.app import App
from handrail.agent.commands import how_it_ended, run
from handrail.agent.files import inside, write_atomic
from handrail.agent.locking import must_hold_lock
from handrail.agent.preparing import fill
from handrail.agent.refusal import Refused
from handrail.agent.rehearsal.postgres import Postgres
from handrail.agent.rehearsal.sqlite import Sqlite
from handrail.agent.schema import crossed, declared_irreversible, state_of

LIMIT = 3600
MOST_LINES = 200


class Rehearsal:
    """One rehearsal: the release in its folder, the original database and the copy."""

    def __init__(self, app, request):
        self.app = App(os.path.dirname(app.folder), app.name)
        self.app.releases = app.path(leftovers.NAME)
        self.variable = request["variable"]
        kind = {"sqlite": Sqlite, "postgresql": Postgres}[request["kind"]]
        self.database = kind(app, self.app.releases, request)
        self.release = ""
        self.env = ""
        self.before = None

    def point(self, url):
        """Have the release's launchers see the database at ``url``."""
        line = "export %s='%s'\n" % (self.variable, url.replace("'", "'\\''"))
        write_atomic(self.app.release(self.release, ".handrail", "env"), self.env + line, 0o600)

    def look(self):
        """Return what the database looks like now: state, schema by object, rows by table."""
        return {
            "state": state_of(self.app, self.release),
            "schema": self.database.schema(),
            "rows": self.database.rows(),
        }

    def run(self, agent, name, **variables):
        """Run one of the release's launchers on the copy; return how it ended, as an answer that is to be added to."""
        began = time.monotonic()
        code, lines = run(
            [self.app.release(self.release, ".handrail", "run-" + name)],
            LIMIT,
            env=dict(os.environ, **variables),
            emit=lambda line: agent.event(line=line),
            gone=agent.stop,
        )
        took = round(time.monotonic() - began, 3)
        if agent.stop.is_set():
            raise Refused("cut", "the rehearsal was stopped")
        return {
            "ok": code == 0,
            "how": how_it_ended(code),
            "returncode": code,
            "lines": lines[-MOST_LINES:],
            "seconds": took,
        }


def look_at_database(agent, request, _payload):
    """Say what the database is, and refuse what cannot be copied here; changes nothing."""
    must_hold_lock(agent)
    agent.rehearsal = Rehearsal(agent.app, request)
    return agent.rehearsal.database.look(request["reserve_bytes"])


def rehearse(agent, request, _payload):
    """Make the release complete in the rehearsal's folder; its database variable points nowhere yet."""
    must_hold_lock(agent)
    rehearsal = agent.rehearsal
    leftovers.sweep(agent.app)
    os.makedirs(rehearsal.app.releases, mode=0o700, exist_ok=True)
    rehearsal.release, rehearsal.env = request["release"], request["env"]
    fill(agent, rehearsal.app.release(rehearsal.release), request, place_private)
    rehearsal.point(rehearsal.database.nowhere())
    return {}


def place_private(agent, folder, shared):
    """Give a rehearsal its own of what releases share: files as copies, folders empty, the database not at all."""
    database = getattr(agent.rehearsal.database, "path", "")
    for relative in shared:
        path, original = inside(folder, relative), inside(agent.app.path("shared"), relative)
        if os.path.realpath(original) == os.path.realpath(database or folder):
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.isfile(original):
            shutil.copyfile(original, path)
        elif not os.path.splitext(relative)[1]:
            os.makedirs(path, exist_ok=True)


def copy_database(agent, request, _payload):
    """Copy the database and prove that the release's commands work on the copy, and on nothing else."""
    must_hold_lock(agent)
    rehearsal = agent.rehearsal
    try:
        elsewhere = state_of(rehearsal.app, rehearsal.release)
    except Refused:
        elsewhere = None  # as it should be: there is no database where the variable points
    leftovers.remember(agent.app, rehearsal.database.undo())
    began = time.monotonic()
    rehearsal.database.copy(agent.stop)
    took = round(time.monotonic() - began, 3)
    rehearsal.point(rehearsal.database.url())
    rehearsal.before = rehearsal.look()
    if elsewhere is not None and elsewhere == rehearsal.before["state"]:
        raise Refused(
            "not-the-variable",
            "migrate_state gives the same answer where %s points nowhere: the project takes its database from "
            "somewhere else, and migrate would change the real one" % rehearsal.variable,
            command=request["command"],
        )
    return dict(rehearsal.before, seconds=took)


def try_up(agent, request, _payload):
    """Migrate the copy; a migration that fails is an answer, not a refusal."""
    must_hold_lock(agent)
    rehearsal = agent.rehearsal
    answer = rehearsal.run(agent, "migrate")
    if answer["ok"]:
        answer.update(rehearsal.look())
        schema = {"before": rehearsal.before["state"], "after": answer["state"]}
        declared = declared_irreversible(rehearsal.app, rehearsal.release)
        known = declared_irreversible(agent.app, agent.app.current_release())
        changed = answer["state"] != schema["before"]
        answer["irreversible"] = crossed(declared, known, schema, answer["lines"]) if changed else []
    return answer


def try_down(agent, request, _payload):
    """Bring the migrated copy back to the state that it had, as a rollback would."""
    must_hold_lock(agent)
    rehearsal = agent.rehearsal
    answer = rehearsal.run(agent, "migrate-down", HANDRAIL_MIGRATE_TO=rehearsal.before["state"])
    answer.update(rehearsal.look())
    return answer


def end_rehearsal(agent, _request, _payload):
    """Delete the rehearsal's release and copy."""
    must_hold_lock(agent)
    return {"left": leftovers.sweep(agent.app)}
