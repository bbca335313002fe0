"""A run as data: the one JSON document that ``--json`` prints, and what hooks are told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from handrail.deploy.behind import to_remember
from handrail.deploy.rollout import rollout
from handrail.deploy.timeline import skew_ms
from handrail.errors import HandrailError

if TYPE_CHECKING:
    from handrail.deploy.running import Run


def hook_facts(run: Run, step: str) -> dict[str, str]:
    target = run.job.target
    return {
        "HANDRAIL_ENV": target.environment,
        "HANDRAIL_APP": target.app,
        "HANDRAIL_RELEASE": run.release,
        "HANDRAIL_COMMIT": run.bundle.commit if run.bundle else run.commit_sha,
        "HANDRAIL_BUNDLE": run.bundle.digest if run.bundle else "",
        "HANDRAIL_HOSTS": " ".join(run.fleet.hosts),
        "HANDRAIL_STEP": step,
        "HANDRAIL_PREVIOUS": previous_release(run),
    }


def undo(run: Run) -> str:
    """Return the command that takes this run back."""
    command = f"inv rollback --env {run.job.target.environment}"
    if run.kind == "catch-up":
        return f"{command} --hosts {','.join(run.committed)}"
    return f"{command} --to {previous_release(run)}" if run.kind == "rollback" else command


def previous_release(run: Run) -> str:
    """Return what the fleet served before; a host that was behind speaks for the others only where there are none."""
    ranked = sorted(run.fleet.hosts, key=lambda host: host in run.standing.behind)
    return next((run.previous[host] for host in ranked if run.previous.get(host)), "")


def document(run: Run, result: str, error: HandrailError | None = None) -> dict[str, Any]:
    """Return the run as the one JSON document that ``--json`` prints."""
    target = run.job.target
    hosts = []
    for host in run.fleet.hosts:
        session = run.fleet.sessions[host]
        arrived = host in run.staying or (result == "good" and host not in run.left_out)
        hosts.append(
            {
                "host": host,
                "from": run.previous.get(host) or None,
                "to": run.release if arrived else (run.previous.get(host) or None),
                "seconds": run.fleet.seconds[host],
                "starts": run.fleet.starts[host],
                "switched": run.switched.get(host),
                "health": run.health.get(host),
                "bytes_sent": session.bytes_sent,
                "channels": session.channels,
                "state": (error.host_states.get(host, "") if error else ""),
            }
        )
    return {
        "command": run.kind,
        "environment": target.environment,
        "app": target.app,
        "result": result,
        "release": run.release,
        "previous": previous_release(run) or None,
        "commit": run.bundle.commit if run.bundle else run.commit_sha,
        "bundle": run.bundle.digest if run.bundle else "",
        "url": target.url,
        "seconds": round(time.time() - run.started, 3),
        "switch_skew_ms": skew_ms(run.switched.values()),
        "hosts": hosts,
        "left_out": {**run.skipped, **run.left_out},
        "caught_up": {
            host: debt.document()
            for host, debt in run.standing.behind.items()
            if result == "good" and host in run.committed
        },
        "behind": to_remember(run) if result == "good" else {},
        "rollout": rollout(
            target,
            run.fleet.hosts,
            [host for host in run.fleet.hosts if run.previous.get(host)],
            run.kind,
            hold=run.job.hold,
            covered=run.covered,
        ),
        "canary": run.canary,
        "error": {"message": error.message, "host": error.host, "step": error.step} if error else None,
        "exit_code": error.exit_code if error else 0,
        "schema": run.schema,
        "irreversible": run.irreversible,
        "undo": undo(run) if result == "good" else "",
    }
