"""The end of a deploy whose client died, told by a person."""

from __future__ import annotations

import time
from typing import Any

from handrail import agent
from handrail.deploy.behind import Standing, leave_out
from handrail.deploy.fleet import Fleet, lock_error, tell_of_lock
from handrail.deploy.running import Job
from handrail.deploy.session import HostError, Session
from handrail.deploy.who import who
from handrail.errors import NeedsPersonError


def abort(job: Job) -> dict[str, str]:
    """End a deploy whose client died: return activated hosts, sweep prepared ones. One sentence a host.

    Raises:
        PreflightError: a host could not be reached, and was not to be skipped; nothing was changed.
        LockedError: on some host it is not dead; nothing was changed on any.
        NeedsPersonError: a host could not return, or did not say whether it did.
    """
    with Fleet(job.target, job.root, job.hosts) as fleet:
        facts, failures = fleet.connect()
        away = leave_out(fleet, facts, failures, Standing(), skip=job.skip_unreachable)
        begun = {host: facts[host]["transaction"] for host in fleet.hosts if is_unfinished(facts[host])}
        make_sure_it_is_dead(fleet, job, facts, begun)

        def end(session: Session) -> dict[str, Any]:
            deploy = begun[session.host]["deploy"]
            return session.call("return", deploy=deploy, reason="aborted", result="aborted")

        ended, failures = fleet.each("", end, begun)
        states = {host: f"nothing to abort; serves {facts[host]['current'] or 'nothing'}" for host in fleet.hosts}
        for host, outcome in ended.items():
            release, serves = begun[host]["release"], outcome["serves"] or "nothing"
            # Its client died between the decision and the record, which taking the lock has made.
            stays = f"{release} was committed, and stays"
            states[host] = stays if serves == release else f"aborted {release}; serves {serves}"
        states.update(dict.fromkeys(failures, "unknown"))
        states.update({host: f"left out: {why.removeprefix(f'{host}: ')}" for host, why in away.items()})
        for host, error in failures.items():
            raise NeedsPersonError(
                f"{host}: {error.message}",
                host=host,
                step="abort",
                lines=error.lines,
                next_step=f"inv status --env {job.target.environment} says what it serves",
                host_states=states,
            )
        for host, outcome in ended.items():
            if not outcome["ok"]:
                raise NeedsPersonError(f"{host}: {outcome['why']}", host=host, step="abort", host_states=states)
    return states


def is_unfinished(fact: dict[str, Any]) -> bool:
    return bool(fact["transaction"]) and fact["transaction"]["step"] != "returned"


def make_sure_it_is_dead(
    fleet: Fleet, job: Job, facts: dict[str, dict[str, Any]], begun: dict[str, dict[str, Any]]
) -> None:
    """Lock the hosts, or see that nobody renews their leases, before anything is ended on any of them.

    Raises:
        LockedError: a deploy lives on one of them.
        HandrailError: one could not be asked.
    """
    active = [host for host, state in begun.items() if state["step"] in agent.ACTIVE]
    guarded = [host for host in active if facts[host]["lock"]["held"]]
    for host in sorted(set(begun) - set(active)):
        fleet_lock(fleet.sessions[host], job)

    def ask(session: Session) -> None:
        session.call("expect_dead", deploy=begun[session.host]["deploy"])

    _, failures = fleet.each("", ask, guarded)
    for error in failures.values():
        raise lock_error(error, job.target.environment) if isinstance(error, HostError) else error
    # Last: whoever takes the lock of an activated host finishes what was left there.
    for host in sorted(set(active) - set(guarded)):
        fleet_lock(fleet.sessions[host], job)


def fleet_lock(session: Session, job: Job) -> None:
    """Take one host's lock for an abort; a living deploy is not aborted behind its back."""
    try:
        holder = {"who": who(), "since": time.time(), "what": "abort"}
        tell_of_lock(job.printer, session.host, session.call("lock", holder=holder, wait=job.wait))
    except HostError as error:
        raise lock_error(error, job.target.environment) from None
