"""The way back of a run that failed: every host returns, and one error says what each of them serves.

What a failure means follows from one question, asked in `fail`: had activation begun? If not, the hosts forget the
new release (exit code 4). If so, they return to the release that they had (5), and where one cannot, a person is
needed (6).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
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
        session.call("rejoin", deploy=params.get("deploy", run.deploy))

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
        # What was held is forgotten: there is nothing to promote again.
        "is_repeatable": run.kind != "promote",
    }
    if broken:
        facts["host"] = broken[0]
        return NeedsPersonError(
            f"{broken[0]}: could not return to the release that served before, after: {where}{why}",
            next_step=way_back(run, broken[0]),
            **facts,
        )
    again = "deploy it again (nothing needs to travel)" if run.kind == "promote" else "run it again"
    stays = what_stays(run, facts["step"])
    if interrupted:
        facts["step"] = ""
        told = "interrupted; every host serves what it served before"
        if not run.migrated and run.kind != "promote":
            return InterruptedByUserError(told, **facts)
        return InterruptedByUserError(told, next_step=f"{again}; {stays}", **facts)
    kind = DeployReturnedError if run.activated else DeployFailedError
    return kind(f"{where}{why}", next_step=f"fix the cause, then {again}; {stays}", **facts)


def way_back(run: Run, host: str) -> str:
    """Return what a person can do about a host that has not returned."""
    env, previous = run.job.target.environment, run.previous.get(host)
    if host not in run.staying:
        return f"inv status --env {env}, then: inv logs --env {env}"
    if not previous:
        return f"inv status --env {env}; a deploy brings every host to one release: inv deploy --env {env}"
    same = [each for each in run.fleet.hosts if each in run.staying and run.previous.get(each) == previous]
    return f"inv rollback --env {env} --hosts {','.join(same)} --to {previous}"


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
            return returned(run, session, canary=run.canary, **request)
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
                run.silent.add(host)
                if "commit" in run.fleet.starts[host]:
                    what = f"it serves {run.release} if the commit has reached it, else it returns by itself"
                else:
                    what = "it returns by itself when its lease runs out"
                states[host] = f"unknown ({failures[host].message}); {what}"
            else:
                states[host] = f"serves {run.previous.get(host) or 'nothing'}, as before"
        elif outcome["ok"]:
            word = "returned to" if host in run.activated else "still serves"
            states[host] = f"{word} {outcome['serves'] or 'nothing (no release before)'}"
        else:
            broken.append(host)
            how = "which it was told to keep" if host in run.staying else "not healthy"
            states[host] = f"current is {outcome['serves'] or 'nothing'}, {how}: {outcome['why']}"
    return states, broken


def returned(run: Run, session: Session, **request: Any) -> dict[str, Any]:
    """Have an activated host return; one that was told to stay, whose answer was lost, is rolled back."""
    try:
        outcome = insist(run, session, "return", **request)
    except HostError as error:
        if error.kind != "committed":
            raise
        return undo_committed(run, session)
    has_stayed = outcome["serves"] == run.release != run.previous.get(session.host)
    return undo_committed(run, session) if has_stayed else outcome


def undo_committed(run: Run, session: Session) -> dict[str, Any]:
    """Roll one committed host back, as a transaction of its own; where that fails it keeps the new release."""
    previous = run.previous[session.host]
    if not previous:
        return stays(run, session, "it had no release before")
    undo = f"{run.deploy}-undo"
    service = run.services[session.host]
    try:
        run.fleet.insist(session, lambda _: None, lambda session: run.fleet.lock_again(session, run.holder()))
        state = {"deploy": undo, "release": previous, "kind": "rollback", "who": who(), "since": time.time()}
        session.call("begin", state=state, keep=run.job.target.keep, digests=[])
        answer = session.call("activate", service=service, lease=run.job.target.lease)
        session.call("verify")
        if answer["moves"]:
            session.call("switch")
        session.call("settle")
        insist(run, session, "commit", deploy=undo, missing=debts(run.standing))
    except HandrailError as error:
        # Without this word its lease would bring the new release back, too, only later.
        with suppress(HandrailError):
            session.call("return", deploy=undo, reason=error.message, result="failed")
        return stays(run, session, error.beside(session.host))
    try:
        session.call("retire", service=service, drain=run.job.target.drain)
    except HandrailError as error:
        run.job.printer.warn(f"{session.host}: the instance that was left was not stopped: {error.message}")
    return {"serves": previous, "ok": True, "why": ""}


def stays(run: Run, session: Session, why: str) -> dict[str, Any]:
    """Return the outcome of a host that had been told to keep the new release, and does."""
    run.staying.add(session.host)
    return {"serves": run.release, "ok": False, "why": why}
