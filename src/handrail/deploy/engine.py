"""A deploy and a rollback, as lists of named steps over all hosts.

Two phases: every host is prepared before any is activated; and if a host fails after that, all return (see
`handrail.deploy.returning`). The hosts know all this too: see `handrail.agent`, which returns by itself when this
process dies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from handrail.deploy.document import document
from handrail.deploy.goals import choose_release, rollback_goal
from handrail.deploy.migrations import lower, migrations_after, schema_goal
from handrail.deploy.preparing import migrate, preflight, prepare, prepare_request, upload
from handrail.deploy.running import Job, running
from handrail.errors import PreflightError

if TYPE_CHECKING:
    from handrail.build.bundle import Bundle
    from handrail.config.values import Value

DEPLOY_PHASES = [
    "connect",
    "preflight",
    "lock",
    "upload",
    "prepare",
    "migrate",
    "activate",
    "verify",
    "commit",
]
ROLLBACK_PHASES = ["lock", "activate", "verify", "commit"]


def deploy(job: Job, bundle: Bundle, variables: Mapping[str, Value]) -> dict[str, Any]:
    """Bring ``bundle`` to every host of ``job`` and return the run's document.

    Raises:
        HandrailError: with the exit code of DESIGN's table; its ``document`` attribute holds the run's document.
    """
    with running(job, "deploy") as run:
        run.show_board(DEPLOY_PHASES)
        run.bundle = bundle
        run.connect()
        preflight(run, bundle)
        run.lock()
        choose_release(run, bundle)
        run.hook("before_upload")
        request = prepare_request(job.target, run.release, variables)
        upload(run, bundle, None if job.hooked is None or "after_upload" in job.hooked else request)
        run.hook("after_upload")
        prepare(run, request)
        migrate(run)
        run.hook("before_activate")
        run.roll_out()
        if job.hold:
            run.hold()
            return document(run, "held")
        run.finish()
        return document(run, "good")


def roll_back(job: Job, to: str, confirm: Callable[[str, dict[str, list[str]]], None]) -> dict[str, Any]:
    """Make the fleet serve an earlier good release; needs neither git, bundle nor package index.

    Args:
        to: a release id; empty: the release that served before this one on all hosts.
        confirm: called with the goal and the releases whose migrations lie between, each with its irreversible ones;
            raises to stop.
    """
    with running(job, "rollback") as run:
        run.connect(locking=True)
        run.release = rollback_goal(run.facts, to)
        schema = ""
        if job.with_migrations:
            schema = schema_goal(run.facts, run.release, run.fleet.hosts, target_hosts=job.target.hosts)
        migrations = migrations_after(run.facts, run.release)
        if migrations:
            # A person may be asked: nobody is to wait for the answer.
            run.give_locks_back()
        confirm(run.release, migrations)
        run.show_board(["lock", "migrate", *ROLLBACK_PHASES[1:]] if job.with_migrations else ROLLBACK_PHASES)
        if run.lock() and (rollback_goal(run.facts, to), migrations_after(run.facts, run.release)) != (
            run.release,
            migrations,
        ):
            raise PreflightError(
                "what the hosts serve has changed while their locks were waited for",
                step="lock",
                next_step="run it again",
            )
        run.begin()
        run.hook("before_activate")
        if job.with_migrations:
            lower(run, schema)
        run.roll_out()
        run.finish()
        return document(run, "good")
