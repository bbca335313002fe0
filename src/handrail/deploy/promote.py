"""Promotion: the release that every host holds gets the traffic, under the same guarantees as in a deploy.

A promotion goes on with the held deploy's own transaction. Until activation begins, whatever fails leaves the
release held; after that a failure, or the client's death, brings the old release back and ends the held instance,
because what has failed once with traffic in sight is no longer proved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handrail.deploy.document import document
from handrail.deploy.running import Job, Run, running
from handrail.deploy.status import held_line
from handrail.errors import PreflightError

PROMOTE_PHASES = ["lock", "activate", "verify", "commit"]


def promote(job: Job) -> dict[str, Any]:
    """Send the traffic to the release that all of the job's hosts hold; return the run's document.

    Raises:
        PreflightError: not every host holds the same release; nothing was changed.
        HandrailError: as in a deploy.
    """
    with running(job, "promote") as run:
        run.connect()
        held_everywhere(run.facts, job.target.environment)
        run.show_board(PROMOTE_PHASES)
        run.lock()
        # Again: before the lock, somebody else may have ended it.
        state = held_everywhere(run.facts, job.target.environment)
        run.deploy, run.release, run.commit_sha = state["deploy"], state["release"], state["commit"]
        note_what_was_held(run)
        run.begun = True
        run.roll_out()
        run.finish()
        return {**document(run, "good"), "bundle": state["bundle"], "held": state["held"]}


def note_what_was_held(run: Run) -> None:
    """Take over what the held deploy has left to remember: what its migration did, and who was left out."""
    held = [fact["transaction"] for fact in run.facts.values()]
    # One host ran it, and a failure or a rollback asks for it.
    run.note_migration(next((state for state in held if state.get("migrate_ran")), {}))
    for state in held:
        run.owed.update(state.get("missing") or {})


def held_everywhere(facts: Mapping[str, Mapping[str, Any]], env: str) -> dict[str, Any]:
    """Return the transaction that every host holds.

    Raises:
        PreflightError: they hold none, or different ones.
    """
    states = {host: fact.get("transaction") or {} for host, fact in facts.items()}
    held = {host: state for host, state in states.items() if state.get("step") == "held"}
    if not held:
        raise PreflightError(f"no host of {env} holds a release", next_step=f"inv deploy --env {env} --hold makes one")
    deploys = {state["deploy"] for state in held.values()}
    if len(held) < len(states) or len(deploys) > 1:
        next_step = f"inv deploy --env {env} --hold brings one to all; --abort ends what is held"
        left_out = {host for state in held.values() for host in state.get("missing") or {}}
        if len(deploys) == 1 and left_out.issuperset(states.keys() - held.keys()):
            # As the hold was told to: they are brought along afterwards.
            next_step = f"inv promote --env {env} --hosts {','.join(held)} goes on without them; {next_step}"
        raise PreflightError(
            f"the hosts of {env} do not hold the same release",
            step="promote",
            next_step=next_step,
            host_states={host: held_line(state) if host in held else "holds none" for host, state in states.items()},
        )
    return dict(next(iter(held.values())))
