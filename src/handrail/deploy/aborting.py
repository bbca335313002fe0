"""The end of a deploy whose client died, told by a person."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from handrail import agent
from handrail.deploy.behind import Standing, leave_out
from handrail.deploy.failures import facts_of
from handrail.deploy.fleet import Fleet, lock_error, tell_of_lock
from handrail.deploy.running import Job
from handrail.deploy.session import HostError, Session
from handrail.deploy.who import who
from handrail.errors import HandrailError, LockedError, NeedsPersonError, beside


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
        active = sorted(host for host, state in begun.items() if state["step"] in agent.ACTIVE)
        unguarded = [host for host in active if not facts[host]["lock"]["held"]]
        make_sure_it_is_dead(fleet, job, begun, unguarded)
        stuck = take_over(fleet, job, unguarded)

        def end(session: Session) -> dict[str, Any]:
            deploy = begun[session.host]["deploy"]
            return session.call("return", deploy=deploy, reason="aborted", result="aborted")

        ended, failures = fleet.each("", end, [host for host in begun if host not in stuck])
        failures = {**stuck, **failures}
        states = {host: f"nothing to abort; serves {facts[host]['current'] or 'nothing'}" for host in fleet.hosts}
        for host, outcome in ended.items():
            release, serves = begun[host]["release"], outcome["serves"] or "nothing"
            # Its client died between the decision and the record, which taking the lock has made.
            stays = f"{release} was committed, and stays"
            states[host] = stays if serves == release else f"aborted {release}; serves {serves}"
        states.update({host: _state_after(error, host) for host, error in failures.items()})
        states.update({host: f"left out: {beside(host, why)}" for host, why in away.items()})
        for host, error in failures.items():
            raise NeedsPersonError(
                **facts_of(host, error, "abort"),
                next_step=f"inv status --env {job.target.environment} says what it serves",
                host_states=states,
            )
        for host, outcome in ended.items():
            if not outcome["ok"]:
                raise NeedsPersonError(f"{host}: {outcome['why']}", host=host, step="abort", host_states=states)
    return states


def is_unfinished(fact: dict[str, Any]) -> bool:
    return bool(fact["transaction"]) and fact["transaction"]["step"] != "returned"


def _state_after(error: HandrailError, host: str) -> str:
    """Return what is known of a host that was not ended: its own word, or nothing where none came."""
    said = isinstance(error, (LockedError, NeedsPersonError))
    return error.beside(host) if said else "unknown"


def make_sure_it_is_dead(fleet: Fleet, job: Job, begun: dict[str, dict[str, Any]], unguarded: Sequence[str]) -> None:
    """Lock prepared hosts, and see that nobody renews a lease, before anything is ended on any host.

    Args:
        unguarded: activated hosts whose lock is free.

    Raises:
        LockedError: a deploy lives on one of them.
        HandrailError: one could not be asked.
    """
    guarded = [host for host, state in begun.items() if state["step"] in agent.ACTIVE and host not in unguarded]
    for host in sorted(set(begun) - set(guarded) - set(unguarded)):
        fleet_lock(fleet.sessions[host], job)

    def ask(session: Session) -> None:
        session.call("expect_dead", deploy=begun[session.host]["deploy"])

    _, failures = fleet.each("", ask, guarded)
    for error in failures.values():
        raise lock_error(error, job.target.environment) if isinstance(error, HostError) else error


def take_over(fleet: Fleet, job: Job, hosts: Sequence[str]) -> dict[str, HandrailError]:
    """Lock activated hosts that nobody guards, which returns them; return failures by host.

    Raises:
        LockedError: the first one is somebody's by now; nothing was ended on any.
    """
    failures: dict[str, HandrailError] = {}
    for host in hosts:
        try:
            fleet_lock(fleet.sessions[host], job)
        except HandrailError as error:
            if isinstance(error, LockedError) and host == hosts[0]:
                raise
            failures[host] = error
    return failures


def fleet_lock(session: Session, job: Job) -> None:
    """Take one host's lock for an abort; a living deploy is not aborted behind its back."""
    try:
        holder = {"who": who(), "since": time.time(), "what": "abort"}
        tell_of_lock(job.printer, session.host, session.call("lock", holder=holder, wait=job.wait))
    except HostError as error:
        raise lock_error(error, job.target.environment) from None
