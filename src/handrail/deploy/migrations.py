"""The database's schema in a rollback: which migrations lie between, where the schema has to go, and the way down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handrail.deploy.release import release_number
from handrail.deploy.session import HostError
from handrail.errors import PreflightError, UsageError

if TYPE_CHECKING:
    from handrail.deploy.running import Run
    from handrail.deploy.session import Session


def migrations_after(facts: Mapping[str, Mapping[str, Any]], goal: str) -> list[str]:
    """Return the releases, oldest first, whose migrations ran after ``goal`` was deployed and still stand."""
    found: set[str] = set()
    for fact in facts.values():
        standing: set[str] = set()
        for entry in fact["history"]:
            release = str(entry["release"])
            if entry.get("migrated"):
                standing.add(release)
            if entry.get("lowered"):
                standing = {name for name in standing if release_number(name) <= release_number(release)}
        found |= standing
    return sorted((name for name in found if release_number(name) > release_number(goal)), key=release_number)


def schema_goal(
    facts: Mapping[str, Mapping[str, Any]], goal: str, hosts: Sequence[str], target_hosts: Sequence[str]
) -> str:
    """Return the schema's state that release ``goal`` was deployed with, by the first host's history.

    Raises:
        UsageError: not all hosts were chosen or reached; the others would be left on the wrong schema.
        PreflightError: no state was recorded.
    """
    if list(hosts) != list(target_hosts):
        raise UsageError("--with-migrations needs all hosts of the environment: they share the database")
    history = facts[hosts[0]]["history"]
    good = [entry for entry in history if entry["release"] == goal and entry.get("result") == "good"]
    known = [entry["schema"]["after"] for entry in good if entry.get("schema")]
    if not known:
        # The release after it has seen what it left, unless one of them migrated without a record.
        later = [e for e in history if release_number(str(e["release"])) > release_number(goal)]
        first = next((e for e in later if e.get("migrated") or e.get("schema")), None)
        known = [first["schema"]["before"]] if first and first.get("schema") else []
    if not known or not known[-1]:
        raise PreflightError(
            f"no state of the schema is recorded for release {goal}, so there is nowhere to bring it back to",
            step="migrate",
            next_step="declare migrate_state and migrate_down before the deploy; without --with-migrations "
            "the code alone goes back",
        )
    return str(known[-1])


def lower(run: Run, state: str) -> None:
    """Bring the schema back to ``state`` on the first host; from here on a failure brings it up again."""
    target, printer, first = run.job.target, run.job.printer, run.fleet.hosts[0]
    command = target.service.migrate_down if target.service else ""

    def work(session: Session) -> None:
        run.activated.add(session.host)
        try:
            session.call(
                "lower",
                to=state,
                command=command,
                service=run.services[session.host],
                lease=target.lease,
                on_event=lambda event: printer.output(event.get("line", ""), host=session.host),
            )
        except HostError as error:
            if error.kind == "irreversible":
                # Nothing has changed: no visitor and no query met anything else.
                run.activated.discard(session.host)
            raise

    run.step("migrate", work, [first])
