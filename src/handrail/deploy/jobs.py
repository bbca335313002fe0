"""Periodic jobs: where they run, and ``inv job.run``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.deploy.failures import as_preflight, facts_of, is_unreachable
from handrail.deploy.fleet import Fleet, tell_of_lock
from handrail.deploy.who import who
from handrail.errors import DeployFailedError, PreflightError, UsageError, did_you_mean

if TYPE_CHECKING:
    from handrail.config.target import Target
    from handrail.errors import HandrailError
    from handrail.ui import Printer


def hosts_of(target: Target, process: str) -> list[str]:
    """Return the hosts that a process runs on: for most of them all, for a job as a rule the first."""
    worker = target.processes.get(process)
    alone = worker is not None and bool(worker.schedule) and worker.hosts == "first"
    return target.hosts[:1] if alone else list(target.hosts)


def begin_job(target: Target, root: Path, name: str, printer: Printer, *, wait: float = 0.0) -> dict[str, Any]:
    """Begin a job now on each of its hosts; return the document that ``--json`` prints.

    Raises:
        UsageError: the project has no such job.
        LockedError: a deploy is under way.
        PreflightError: it has begun on no host.
        DeployFailedError: one host did not begin it, and on others it has begun, or may have.
    """
    jobs = [process for process, worker in target.processes.items() if worker.schedule]
    if name not in jobs:
        raise UsageError(f"there is no periodic job {name!r}{did_you_mean(name, jobs)}")
    with Fleet(target, root, hosts_of(target, name)) as fleet:
        _, failures = fleet.connect()
        if failures:
            raise as_preflight(failures, "connect")
        # A deploy that waits for the end of a run must not meet the beginning of another.
        for host, answer in fleet.lock({"who": who(), "since": time.time(), "what": f"job.run {name}"}, wait).items():
            tell_of_lock(printer, host, answer)
        begun, failures = fleet.each("", lambda session: session.call("begin_job", process=name))
        if failures:
            raise not_begun(target.environment, list(begun), failures)
        return {
            "command": "job.run",
            "environment": target.environment,
            "app": target.app,
            "job": name,
            "hosts": list(fleet.hosts),
        }


def not_begun(env: str, begun: Sequence[str], failures: Mapping[str, HandrailError]) -> HandrailError:
    """Return the failure of a job that did not begin on all its hosts; its states say where it did."""
    host, error = next(iter(failures.items()))
    states = dict.fromkeys(begun, "it has begun")
    # The host may have got the word before its connection was lost.
    states.update({name: "unknown" if is_unreachable(e) else "it has not begun" for name, e in failures.items()})
    untouched = set(states.values()) == {"it has not begun"}
    next_step = "" if untouched else f"inv status --env {env} says where it runs"
    if "sudo" in error.command:
        next_step = f"inv host.setup --env {env} allows it"
    return (PreflightError if untouched else DeployFailedError)(
        **facts_of(host, error, "job.run"), next_step=next_step, host_states=states if len(states) > 1 else None
    )
