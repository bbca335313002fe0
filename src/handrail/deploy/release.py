"""What one release needs on its hosts: its id, service, launchers and settings, as data for the agent."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from handrail.config.batches import step_size
from handrail.errors import ConfigError

if TYPE_CHECKING:
    from handrail.build.bundle import Bundle
    from handrail.config.schema import Worker
    from handrail.config.target import Target
    from handrail.config.values import Value
    from handrail.runtime import Job

UNCONFINED = "the service runs unconfined: systemd there left out what hardening says of the file system"


def release_id(number: int, bundle: Bundle) -> str:
    """Return ``<fleet-wide number>-<commit>``: its order is the number's, never a clock's."""
    name = bundle.commit[:7] if bundle.commit else bundle.digest[:7]
    return f"{number}-{name}{'.dirty' if bundle.dirty else ''}"


def release_number(release: str) -> int:
    """Return the fleet-wide number in a release id; 0 for what is no release id, such as none at all."""
    head = release.split("-")[0]
    return int(head) if head.isdigit() else 0


def service_for(target: Target, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the service as the agent on this host runs it, or None for an app without one."""
    from handrail.runtime import proxy_spec, service_spec

    service = target.service
    if service is None:
        return None

    def instance(slot: str, port: int) -> dict[str, Any]:
        spec = service_spec(
            target.manager, slot=slot, stop_timeout=service.stop_timeout, unit=service.unit, **_place(target, facts)
        )
        spec.update(
            port=port,
            health=service.health,
            health_status=service.health_status,
            health_timeout=service.health_timeout,
            health_interval=service.health_interval,
            stop_timeout=service.stop_timeout,
        )
        return spec

    spec = instance("", target.port)
    # Sent whatever the strategy is: a host that changes from one to another has both.
    spec["slots"] = {slot: instance(slot, port) for slot, port in target.slots.items()}
    spec["strategy"] = target.strategy
    spec["watch"] = target.watch
    spec["drain"] = target.drain
    spec["processes"] = worker_specs(target, facts)
    spec["proxy"] = None
    if target.proxy:
        ports = {"web": target.port, **target.slots}
        spec["proxy"] = proxy_spec(
            target.proxy.kind,
            app=target.app,
            site=target.proxy.site,
            ports=ports,
            is_root=facts["uid"] == 0,
            shares=canary_shares(target),
        )
    return spec


def worker_specs(target: Target, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the background processes as the agent on this host runs them, by their manager's name for each.

    Args:
        facts: the host's ``hello``; its ``scale`` holds what `inv scale` said there, and its ``address`` is the host's
            name in the environment, which tells the first one from the others.
    """
    from handrail.runtime import service_spec

    said = facts.get("scale", {})
    specs = {}
    for name, worker in target.processes.items():
        job = _job(worker)
        for number in [0] if job else range(1, said.get(name, worker.instances) + 1):
            spec = service_spec(
                target.manager, process=name, instance=number, job=job, stop_timeout=worker.stop_timeout,
                unit=worker.unit, **_place(target, facts),
            )  # fmt: skip
            # It answers no requests: that it stays up as the release is all there is to ask.
            spec.update(process=name, port=0, health="", health_timeout=15.0, health_interval=0.2)
            spec["stop_timeout"] = worker.stop_timeout
            if job:
                # Sent to all hosts, so that each knows of a job that is another's.
                here = worker.hosts == "all" or facts.get("address", target.hosts[0]) == target.hosts[0]
                spec.update(schedule=worker.schedule, here=here)
            specs[spec["name"]] = spec
    return specs


def _job(worker: Worker) -> Job | None:
    from handrail.runtime import Job

    spread = worker.hosts == "all"
    return Job(worker.schedule, spread=spread, timeout=worker.timeout) if worker.schedule else None


def _place(target: Target, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "app": target.app,
        "app_dir": facts["folder"],
        "user": facts["user"],
        "is_root": facts["uid"] == 0,
        "facts": facts,
        "hardening": target.service.hardening if target.service else "off",
    }


def canary_shares(target: Target) -> list[int]:
    """Return the per cents of a host's traffic that its canary gets; none where the strategy is another."""
    if target.strategy != "canary":
        return []
    return sorted({100 if isinstance(step, int) else step_size(step) for step in target.canary.steps})


def launchers_for(target: Target, release: str) -> dict[str, str]:
    """Return the launcher scripts by process name."""
    from handrail.runtime import render_job, render_launcher

    service = target.service
    if service is None:
        return {}

    def launcher(command: str, process: str, port: int) -> str:
        return render_launcher(command, app=target.app, process=process, port=port, release=release)

    launchers = {"web": launcher(service.command, "web", target.port)}
    for slot, port in target.slots.items():
        launchers[f"web-{slot}"] = launcher(service.command, "web", port)
    for name, worker in target.processes.items():
        launchers[name] = launcher(worker.command, name, target.port)
        if job := _job(worker):
            patience = worker.stop_timeout
            launchers |= render_job(name, job, patience=patience, app=target.app, port=target.port, release=release)
    if service.migrate:
        launchers["migrate"] = launcher(service.migrate, "migrate", target.port)
    if service.migrate_state:
        launchers["migrate-state"] = launcher(service.migrate_state, "migrate-state", target.port)
    if service.migrate_down:
        # Each word stands in single quotes: leave them for the variable alone.
        down = launcher(service.migrate_down, "migrate-down", target.port)
        launchers["migrate-down"] = down.replace("{state}", "'\"$HANDRAIL_MIGRATE_TO\"'")
    return launchers


def environment_text(variables: Mapping[str, Value]) -> str:
    """Return the release's env file. It holds the raw secrets: it travels on standard input and lands with 0600."""
    from handrail.runtime import render_env

    return render_env({name: value.text for name, value in variables.items()})


def variable_digests(variables: Mapping[str, Value], salt: str = "") -> dict[str, Any]:
    """Return names with keyed digests of their values, so that a plan can tell what changed without a value."""
    salt = salt or secrets.token_hex(16)
    digests = {
        name: hmac.new(salt.encode(), value.text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
        for name, value in variables.items()
    }
    return {"salt": salt, "digests": digests}


def check_bundle_fits(bundle: Bundle, target: Target) -> None:
    """Refuse a bundle of another app before anything is sent."""
    if bundle.app != target.app:
        raise ConfigError(f"the bundle holds app {bundle.app!r}, this project is {target.app!r}")
