"""``inv scale``: another number of processes of the release that serves, on every host, without a deploy."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.deploy.events import by
from handrail.deploy.fleet import Fleet, tell_of_lock
from handrail.deploy.interrupts import interruptible, uninterruptible
from handrail.deploy.release import service_for
from handrail.deploy.session import Session
from handrail.errors import DeployReturnedError, NeedsPersonError, PreflightError, UsageError, did_you_mean

if TYPE_CHECKING:
    from handrail.config.target import Target
    from handrail.errors import HandrailError
    from handrail.ui import Printer

# As many as two digits say: the rights on a host are spelled out for those.
MOST = 99


def read_numbers(words: Sequence[str], target: Target) -> dict[str, int]:
    """Return numbers by process.

    Raises:
        UsageError: a word is not ``process=number``, or names no process of the project.
    """
    jobs = [name for name, worker in target.processes.items() if worker.schedule]
    known = [name for name in ("web", *target.processes) if name not in jobs]
    numbers = {}
    for word in words:
        name, _, number = word.partition("=")
        if name in jobs:
            raise UsageError(f"{name} is a periodic job, which runs once at a time; known: {', '.join(known)}")
        if name not in known:
            raise UsageError(f"there is no process {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}")
        lowest = 1 if name == "web" else 0
        if not re.fullmatch(r"[0-9]{1,3}", number) or not lowest <= int(number) <= MOST:
            raise UsageError(f"{word}: expected a number from {lowest} to {MOST}, as in {name}=2")
        numbers[name] = int(number)
    return numbers


def run_scale(
    target: Target, root: Path, words: Sequence[str], printer: Printer, *, wait: float = 0.0
) -> dict[str, Any]:
    """Bring every host to the numbers in ``words``; where one cannot, all keep what they had.

    Raises:
        UsageError: what `read_numbers` says.
        LockedError: a deploy is under way.
        DeployReturnedError: a process did not stay up, or a connection was lost; every host has what it had before.
        NeedsPersonError: and a host could not be brought back to that.
    """
    numbers = read_numbers(words, target)
    done: dict[str, dict[str, int]] = {}
    web: dict[str, dict[str, str]] = {}
    with Fleet(target, root) as fleet, interruptible():
        facts, failures = fleet.connect()
        if failures:
            host, error = next(iter(failures.items()))
            raise PreflightError(f"{host}: {error.beside(host)}", host=host, step="connect")
        before = {host: dict(fact["scale"]) for host, fact in facts.items()}
        if numbers:
            author = by()
            holder = {"who": author["who"], "since": time.time(), "what": f"scale {' '.join(words)}"}
            for host, answer in fleet.lock(holder, wait).items():
                # Somebody else may have changed them until now.
                before[host] = dict(answer["scale"])
                tell_of_lock(printer, host, answer)

            def change(session: Session, scale: dict[str, int]) -> None:
                service = service_for(target, {**facts[session.host], "scale": scale})
                answer = session.call("scale", scale=scale, service=service, by=author)
                done[session.host], web[session.host] = answer["scale"], answer["web"]

            def change_back(session: Session) -> None:
                fleet.insist(session, lambda s: fleet.lock_again(s, holder), lambda s: change(s, before[s.host]))

            def undo(hosts: Sequence[str], broken: Mapping[str, HandrailError]) -> None:
                with uninterruptible():
                    _, failed = fleet.each("", change_back, hosts)
                if failed or broken:
                    raise _needs_person({**broken, **failed}, target, before, facts)

            try:
                _, failures = fleet.each("", lambda session: change(session, {**before[session.host], **numbers}))
            except KeyboardInterrupt:
                undo(fleet.hosts, {})
                raise
            if failures:
                # A host that refused has undone it itself, or says that it could not; one whose connection was lost may
                # still be at it.
                kinds = {h: getattr(error, "kind", "") for h, error in failures.items()}
                broken = {h: error for h, error in failures.items() if kinds[h] == "not-undone"}
                undo([h for h in fleet.hosts if h in done or kinds.get(h) == "lost"], broken)
                host, error = next(iter(failures.items()))
                raise DeployReturnedError(
                    f"{host}: {error.message}; every host runs what it ran before", host=host, step="scale",
                    lines=error.lines, command=error.command, returncode=error.returncode,
                    next_step=f"inv logs --env {target.environment} --process {next(iter(numbers))}",
                )  # fmt: skip
    now = {host: {**_defaults(target), **done.get(host, before[host])} for host in facts}
    names = ["web", *_defaults(target)]
    rows = [[host, *(str(now[host].get(name) or "-") for name in names)] for host in now]
    printer.table(f"{target.app} on {target.environment}", ["host", *names], rows)
    for host, web_change in web.items():
        if web_change["how"] == "resized":
            printer.info(f"{host}: the server changed its workers without a restart")
        elif web_change["how"]:
            printer.info(f"{host}: the service was restarted for it: {web_change['why']}")
    return {"command": "scale", "environment": target.environment, "app": target.app, "hosts": now, "web": web}


def _defaults(target: Target) -> dict[str, int]:
    return {name: worker.instances for name, worker in target.processes.items() if not worker.schedule}


def _needs_person(
    failed: Mapping[str, HandrailError],
    target: Target,
    before: Mapping[str, dict[str, int]],
    hosts: Iterable[str],
) -> NeedsPersonError:
    host, error = next(iter(failed.items()))
    again = " ".join(f"{name}={number}" for name, number in {**_defaults(target), "web": 1, **before[host]}.items())
    return NeedsPersonError(
        f"{host}: could not be brought back to the numbers that it had: {error.beside(host)}",
        host=host,
        step="scale",
        lines=error.lines,
        next_step=f"when it answers again: inv scale --env {target.environment} {again}",
        host_states={each: "unknown" if each in failed else "runs what it ran before" for each in hosts},
    )
