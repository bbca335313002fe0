"""How a release runs on a host, as data.

Nothing here connects or spawns: a builder returns the files, the argv lists and the texts, and the agent
carries them out on the host. A service is described once, in `Process`, and each process manager is one
module with one builder, named in `handrail.runtime.registry`. The unit file never changes between releases:
it starts ``<app_dir>/current/.handrail/run-<process>``, the launcher that each release brings along
(`handrail.runtime.launcher`), so that a rollback needs no new unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handrail.config.directives import Value
from handrail.runtime.launcher import render_env, render_job, render_launcher
from handrail.runtime.process import Job, Process
from handrail.runtime.proxy import proxy_spec
from handrail.runtime.registry import builder_for

__all__ = ["Job", "proxy_spec", "render_env", "render_job", "render_launcher", "service_spec"]


def service_spec(
    manager: str,
    *,
    app: str,
    process: str = "web",
    app_dir: str,
    user: str,
    is_root: bool,
    facts: Mapping[str, Any],
    stop_timeout: float,
    slot: str = "",
    instance: int = 0,
    job: Job | None = None,
    hardening: str = "off",
    unit: Mapping[str, Value] | None = None,
) -> dict[str, Any]:
    """Return what the agent needs to run one process of an app under ``manager``, as a JSON-able dict.

    Args:
        manager: ``systemd`` or ``supervisor``.
        app_dir: absolute path of the app's folder on the host.
        user: login name that the process runs as.
        is_root: whether the agent itself runs as root; otherwise systemd is asked through ``sudo -n``.
        facts: what the agent found out about the host; see `handrail.runtime.supervisor` for its part.
        stop_timeout: seconds between the polite stop and the kill.
        slot: ``blue`` or ``green`` for one of two instances side by side.
        instance: its number, from 1, where several of the same process run.
        job: set for a periodic job.
        hardening, unit: for systemd: `handrail.runtime.hardening`, and further directives.

    The dict holds:
        ``name``, ``manager``: the service's name there (``<app>-<process>``).
        ``files``: ``{"path", "content", "mode", "root"}``; ``root`` says that only root may write there.
        ``reload``: run in order, after ``current`` points at a release, when a file changed or was absent.
            The process may be running afterwards, but not necessarily the new one: run ``restart`` next.
        ``start``, ``restart``, ``stop``: run in order. After ``restart`` the running process is one that was
            started after the call, whatever was there before (running, crashed, given up on, never started).
        ``retire``: like ``stop``, and it does not start with the host either; run ``forget`` once the files are gone.
        ``pid``: prints the main process's id. Where it is not running it prints ``0`` or a sentence, and its
            exit status says nothing: take the output as a number, and anything else as 0.
        ``logs``, ``logs_follow``: one argv each, with the literal ``{lines}``.
        ``check``: all exit 0 when this user can use the manager.
        ``ended``, ``needs``: systemd: prints the main process's exit code; and the unit's lines that systemd may be
            unable to set up on a host, by the exit code that says so.
        ``confined``: systemd: whether the process must see the file system otherwise than the host does.

    For a periodic job under systemd, ``start`` begins one run and does not wait for it, ``restart`` begins to wait for
    its next time, ``pause`` ends that and leaves a run in progress alone, ``stop`` ends such a run, and ``when`` prints
    properties of its timer and its last run. Under supervisor, a job is a process like any other: one that waits
    (`handrail.runtime.scheduler`). Either way the file ``report`` says how the last run ended.

    Raises:
        ConfigError: unknown manager, or a name or path that cannot be written into its files safely.
        PreflightError: the host lacks what the manager needs.
    """
    described = Process(
        app=app,
        process=process,
        app_dir=app_dir,
        user=user,
        is_root=is_root,
        stop_timeout=stop_timeout,
        slot=slot,
        instance=instance,
        job=job,
        hardening=hardening,
        unit=unit or {},
    )
    return builder_for(manager)(described, facts)
