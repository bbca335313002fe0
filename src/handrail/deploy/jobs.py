"""Periodic jobs: where they run, and ``inv job.run``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.deploy.failures import facts_of
from handrail.deploy.fleet import Fleet
from handrail.deploy.who import who
from handrail.errors import PreflightError, UsageError, did_you_mean

if TYPE_CHECKING:
    from handrail.config.target import Target


def hosts_of(target: Target, process: str) -> list[str]:
    """Return the hosts that a process runs on: for most of them all, for a job as a rule the first."""
    worker = target.processes.get(process)
    alone = worker is not None and bool(worker.schedule) and worker.hosts == "first"
    return target.hosts[:1] if alone else list(target.hosts)


def begin_job(target: Target, root: Path, name: str, *, wait: float = 0.0) -> dict[str, Any]:
    """Begin a job now on each of its hosts; return the document that ``--json`` prints.

    Raises:
        UsageError: the project has no such job.
        LockedError: a deploy is under way.
        PreflightError: a host did not begin it; the hosts before it in the list may have.
    """
    jobs = [process for process, worker in target.processes.items() if worker.schedule]
    if name not in jobs:
        raise UsageError(f"there is no periodic job {name!r}{did_you_mean(name, jobs)}")
    with Fleet(target, root, hosts_of(target, name)) as fleet:
        _, failures = fleet.connect()
        if not failures:
            # A deploy that waits for the end of a run must not meet the beginning of another.
            fleet.lock({"who": who(), "since": time.time(), "what": f"job.run {name}"}, wait)
            _, failures = fleet.each("", lambda session: session.call("begin_job", process=name))
        for host, error in failures.items():
            raise PreflightError(
                **facts_of(host, error, "job.run"),
                next_step=f"inv host.setup --env {target.environment} allows it" if "sudo" in error.command else "",
            )
        return {
            "command": "job.run",
            "environment": target.environment,
            "app": target.app,
            "job": name,
            "hosts": list(fleet.hosts),
        }
