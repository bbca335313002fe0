"""The request that brings the schema back before a rollback: down first, under the same lease as the code."""

import os

from handrail.agent.activating import arm, must_be_undecided
from handrail.agent.commands import how_it_ended
from handrail.agent.locking import must_hold_lock
from handrail.agent.refusal import Refused
from handrail.agent.schema import run_migration, state_of
from handrail.agent.transaction import Transaction


def lower(agent, request, _payload):
    """Run the leaving release's ``migrate_down`` to the state ``to``; from here on a return brings the schema up again.

    Refuses with ``irreversible`` where the command failed and changed nothing.
    """
    must_hold_lock(agent)
    transaction = Transaction(agent.app)
    leaving, goal = transaction.state()["from"], request["to"]
    launchers = [agent.app.release(leaving, ".handrail", "run-" + name) for name in ("migrate", "migrate-down")]
    if not all(os.access(path, os.X_OK) for path in launchers):
        raise Refused("irreversible", "release %s was deployed without migrate_down" % leaving)
    before = state_of(agent.app, leaving)
    if before is None:
        raise Refused("irreversible", "release %s was deployed without migrate_state" % leaving)
    if before == goal:
        return {"from": before, "to": before}
    arm(agent, transaction, request.get("service"), request["lease"], "lowering", lowered={"from": before, "to": goal})
    # Whoever returns waits for this lock, and for the migration's own where this agent is killed, so that the way up
    # never meets the way down in the database.
    with transaction.acting():
        must_be_undecided(transaction)
        code, lines = run_migration(
            agent.app,
            launchers[1],
            env=dict(os.environ, HANDRAIL_MIGRATE_TO=goal),
            emit=lambda line: agent.event(line=line),
        )
        now = state_of(agent.app, leaving)
        must_be_undecided(transaction)
        if now == goal and code == 0:
            transaction.update(step="lowered")
            return {"from": before, "to": now}
        why = "migrate_down %s" % how_it_ended(code)
        facts = {"command": request["command"], "returncode": code, "lines": lines[-30:]}
        if now == before:
            # Nothing to bring up again; the guardian still watches, and its return finds everything as it was.
            transaction.update(lowered=None)
            raise Refused("irreversible", "%s; the schema is as it was" % why, **facts)
        raise Refused("command", "%s with the schema at %r; expected %r" % (why, now, goal), **facts)
