"""The way back of a run that failed: every host returns, and one error says what each of them serves.

What a failure means follows from one question, asked in `fail`: had activation begun? If not, the hosts forget the
new release (exit code 4). If so, they return to the release that they had (5), and where one cannot, a person is
needed (6).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handrail.deploy.behind import debts
from handrail.deploy.failures import as_preflight
from handrail.deploy.interrupts import uninterruptible
from handrail.deploy.migrations import what_stays
from handrail.deploy.session import HostError, Session
from handrail.deploy.who import who
from handrail.errors import (
    DeployFailedError,
    DeployReturnedError,
    HandrailError,
    InterruptedByUserError,
    NeedsPersonError,
    TaskFailedError,
)

if TYPE_CHECKING:
    from handrail.deploy.running import Run


def insist(run: Run, session: Session, op: str, **params: Any) -> dict[str, Any]:
    """Call, and where the connection is lost connect again: a decision must arrive before the lease ends."""

    def rejoin(session: Session) -> None:
        session.call("rejoin", deploy=run.deploy)

    return run.fleet.insist(session, rejoin, lambda session: session.call(op, **params))


def fail(run: Run, error: BaseException) -> HandrailError:
    """Bring every host back; return the error that says what the fleet's state is now."""
    interrupted = isinstance(error, KeyboardInterrupt)
    cause = error if isinstance(error, HandrailError) else None
    why = "interrupted" if interrupted else (cause.message if cause else f"{type(error).__name__}: {error}")
    if not run.begun:
        if interrupted:
            return InterruptedByUserError("interrupted; nothing was changed", step="connect")
        if cause is None:
            raise error
        if isinstance(cause, HostError | TaskFailedError):
            return as_preflight({cause.host or "this machine": cause}, cause.step)
        return cause
    where = f"{cause.host}: " if cause and cause.host and not why.startswith(cause.host) else ""
    with uninterruptible():
        what = "returning to the release that served before" if run.activated else "cleaning up"
        run.job.printer.info(f"interrupted; {what}" if interrupted else what)
        states, broken = bring_back(run, f"{where}{why}")
    facts: dict[str, Any] = {
        "host": cause.host if cause else "",
        "step": cause.step if cause else "",
        "command": cause.command if cause else "",
        "returncode": cause.returncode if cause else None,
        "lines": cause.lines if cause else (),
        "host_states": states,
    }
    env = run.job.target.environment
    if broken:
        facts["host"] = broken[0]
        return NeedsPersonError(
            f"{broken[0]}: could not return to the release that served before, after: {why}",
            next_step=f"inv status --env {env}, then on the host: inv logs --env {env}",
            **facts,
        )
    if interrupted:
        facts["step"] = ""
        return InterruptedByUserError("interrupted; every host serves what it served before", **facts)
    kind = DeployReturnedError if run.activated else DeployFailedError
    return kind(
        f"{where}{why}",
        next_step=f"fix the cause, then run it again; {what_stays(run, facts['step'])}",
        **facts,
    )


def bring_back(run: Run, reason: str, hosts: Sequence[str] | None = None) -> tuple[dict[str, str], list[str]]:
    """Return each host; give one sentence on each host's state, and the hosts that need a person."""

    def work(session: Session) -> dict[str, Any]:
        posted = [table.pop(session.host, None) for table in (run.preparing, run.verifying)]
        if any(posted):
            # Nobody wants the release any more, nor to know whether it becomes healthy.
            session.cancel()
        session.revive()
        if session.host in run.committed:
            # It had been told to stay before another host failed: only a rollback of its own brings it back.
            return undo_committed(run, session)
        times = run.times(session.host, "return")
        request: dict[str, Any] = {"deploy": run.deploy, "reason": reason, "result": "failed", "times": times}
        if session.host in run.activated:
            return insist(run, session, "return", canary=run.canary, **request)
        try:
            return session.call("return", **request)
        except HostError as error:
            if error.kind != "lost":
                raise
            # Its agent ends with the connection, and its lock; nothing was switched, the next deploy sweeps.
            return {"serves": run.previous.get(session.host, ""), "ok": True, "why": ""}

    results, failures = run.fleet.each("", work, hosts)
    states, broken = {}, []
    for host in hosts if hosts is not None else run.fleet.hosts:
        outcome = results.get(host)
        if outcome is None:
            if host in run.activated:
                broken.append(host)
                states[host] = f"unknown ({failures[host].message}); it returns by itself when its lease runs out"
            else:
                states[host] = f"serves {run.previous.get(host) or 'nothing'}, as before"
        elif outcome["ok"]:
            word = "returned to" if host in run.activated else "still serves"
            states[host] = f"{word} {outcome['serves'] or 'nothing (no release before)'}"
        else:
            broken.append(host)
            states[host] = f"current is {outcome['serves'] or 'nothing'}, not healthy: {outcome['why']}"
    return states, broken


def undo_committed(run: Run, session: Session) -> dict[str, Any]:
    """Roll one committed host back, as a transaction of its own."""
    if not session.is_open:
        session.reopen()
    previous = run.previous[session.host]
    holder = {"who": who(), "since": time.time(), "what": "fleet rollback", "deploy": run.deploy}
    session.call("lock", holder=holder, wait=10)
    undo = f"{run.deploy}-undo"
    state = {"deploy": undo, "release": previous, "kind": "rollback", "who": who(), "since": time.time()}
    if not previous:
        return {
            "serves": run.release,
            "ok": False,
            "why": "it had no release before and has committed this one",
        }
    session.call("begin", state=state, keep=run.job.target.keep, digests=[])
    run.activated.add(session.host)
    service = run.services[session.host]
    answer = session.call("activate", service=service, lease=run.job.target.lease)
    session.call("verify")
    if answer["moves"]:
        session.call("switch")
    session.call("settle")
    session.call("commit", deploy=undo, missing=debts(run.standing))
    session.call("retire", service=service, drain=run.job.target.drain)
    return {"serves": previous, "ok": True, "why": ""}
