"""The end of a deploy whose client died, told by a person."""

from __future__ import annotations

import time

from handrail import agent
from handrail.deploy.failures import as_preflight
from handrail.deploy.fleet import Fleet, lock_error, locked_error
from handrail.deploy.running import Job
from handrail.deploy.session import HostError, Session
from handrail.deploy.who import who
from handrail.errors import NeedsPersonError


def abort(job: Job) -> dict[str, str]:
    """End a deploy whose client died: return activated hosts, sweep prepared ones. One sentence a host.

    Raises:
        PreflightError: a host could not be reached; nothing was changed.
        LockedError: it is not dead.
        NeedsPersonError: a host could not return, or did not say whether it did.
    """
    states: dict[str, str] = {}
    with Fleet(job.target, job.root, job.hosts) as fleet:
        facts, failures = fleet.connect()
        if failures:
            raise as_preflight(failures, "connect")
        for host, fact in facts.items():
            state = fact["transaction"]
            session = fleet.sessions[host]
            if not state or state["step"] == "returned":
                states[host] = f"nothing to abort; serves {fact['current'] or 'nothing'}"
                continue
            if state["step"] not in agent.ACTIVE or not fact["lock"]["held"]:
                # Taking the lock finishes what was activated; the rest is swept below.
                fleet_lock(session, job)
            try:
                outcome = session.call(
                    "return", deploy=state["deploy"], reason="aborted", result="aborted", if_abandoned=True
                )
            except HostError as error:
                if error.kind == "locked":
                    raise locked_error(error) from None
                raise NeedsPersonError(
                    f"{host}: {error.message}",
                    host=host,
                    step="abort",
                    lines=error.lines,
                    next_step=f"inv status --env {job.target.environment} says what it serves",
                    host_states={**states, host: "unknown"},
                ) from None
            states[host] = f"aborted {state['release']}; serves {outcome['serves'] or 'nothing'}"
            if not outcome["ok"]:
                raise NeedsPersonError(f"{host}: {outcome['why']}", host=host, step="abort", host_states=states)
    return states


def fleet_lock(session: Session, job: Job) -> None:
    """Take one host's lock for an abort; a living deploy is not aborted behind its back."""
    try:
        holder = {"who": who(), "since": time.time(), "what": "abort"}
        session.call("lock", holder=holder, wait=job.wait)
    except HostError as error:
        raise lock_error(error, job.target.environment) from None
