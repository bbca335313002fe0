"""The database's schema in a rollback: which migrations lie between, where the schema has to go, and the way down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handrail.deploy.release import release_number
from handrail.deploy.session import HostError
from handrail.errors import PreflightError

if TYPE_CHECKING:
    from handrail.deploy.running import Run
    from handrail.deploy.session import Session


def migrations_after(facts: Mapping[str, Mapping[str, Any]], goal: str) -> dict[str, list[str]]:
    """Return the releases, oldest first, whose migrations ran after ``goal`` was deployed and still stand.

    Each with the names of those that it declares as irreversible, as a rule none.
    """
    found: dict[str, list[str]] = {}
    for fact in facts.values():
        standing: dict[str, list[str]] = {}
        for entry in fact["history"]:
            release = str(entry["release"])
            if entry.get("migrated"):
                standing.setdefault(release, []).extend(entry.get("irreversible") or [])
            if entry.get("lowered"):
                standing = {name: v for name, v in standing.items() if release_number(name) <= release_number(release)}
        for release, names in standing.items():
            found[release] = list(dict.fromkeys([*found.get(release, []), *names]))
    later = [name for name in found if release_number(name) > release_number(goal)]
    return {name: found[name] for name in sorted(later, key=release_number)}


def irreversible_sentence(migrations: Mapping[str, Sequence[str]]) -> str:
    """Return which releases ran what cannot be undone, or "" where none did."""
    ran = [f"release {release} ran {' and '.join(names)}" for release, names in migrations.items() if names]
    return f"{'; '.join(ran)}, which cannot be undone" if ran else ""


def what_stays(run: Run, step: str = "") -> str:
    """Return what a run that failed in ``step`` leaves in the database, and how safe that is for what serves."""
    if not run.migrated:
        if step == "migrate" and run.kind == "deploy" and not run.schema:
            return "how far the migration came, nobody can tell without migrate_state: look at the database"
        return "nothing is left to clean up"
    serving = next((release for release in run.previous.values() if release), "")
    if run.irreversible:
        names = " and ".join(run.irreversible)
        without = f", and {serving} serves without what it took away" if serving else ""
        return f"{names} ran and cannot be undone{without}: deploy a release that works with the schema as it is now"
    what = "a part of the migration" if step == "migrate" else "the migration"
    where = f", with the schema at {_one_line(run.schema['after'])}" if run.schema else ""
    if not serving:
        return f"{what} stays{where}, and the next deploy goes on from there"
    proof = f"{serving} was found healthy with it" if run.activated else f"{serving} serves with it"
    service = run.job.target.service
    way = ""
    if run.schema and service and service.migrate_down:
        way = f"; once deployed, inv rollback --env {run.job.target.environment} --with-migrations takes it back"
    return f"{what} stays{where}, and {proof}{way}"


def _one_line(state: str) -> str:
    lines = state.splitlines()
    return repr(lines[-1] if lines else "") + (f" (and {len(lines) - 1} more)" if len(lines) > 1 else "")


def schema_goal(
    facts: Mapping[str, Mapping[str, Any]], goal: str, hosts: Sequence[str], target_hosts: Sequence[str]
) -> str:
    """Return the schema's state that release ``goal`` was deployed with, by the first host's history.

    Raises:
        PreflightError: a host is left out, and would serve on the wrong schema; or no state was recorded.
    """
    out = [host for host in target_hosts if host not in hosts]
    if out:
        raise PreflightError(
            f"--with-migrations needs all hosts, which share the database, and {', '.join(out)} could not be reached",
            host=out[0],
            step="connect",
            next_step="bring it back and run it again; without --with-migrations the code alone goes back",
        )
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
