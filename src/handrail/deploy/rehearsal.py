"""``inv db.plan``: the migration of this commit on a copy of the database, on the host that would migrate.

The new release is uploaded and made complete, as a deploy would, but in a folder that is no release; the database
variable points to a copy. The deploy lock is held meanwhile, nothing is written into the history, and what was made is
swept by the agent, whatever ends it; after a kill, by whoever takes the lock next.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.deploy.database import describe_database, passwords
from handrail.deploy.failures import as_preflight
from handrail.deploy.fleet import Fleet, tell_of_lock
from handrail.deploy.interrupts import interruptible
from handrail.deploy.parcels import Parcels
from handrail.deploy.plan import show_size
from handrail.deploy.preparing import MIB, need_of, prepare_request, send_missing
from handrail.deploy.release import release_id, service_for
from handrail.deploy.schema_diff import row_changes, schema_diff
from handrail.deploy.session import Session, pack
from handrail.deploy.who import who
from handrail.errors import ConfigError, InterruptedByUserError, PreflightError, did_you_mean

if TYPE_CHECKING:
    from handrail.build.bundle import Bundle
    from handrail.config.target import Target
    from handrail.config.values import Value, Values
    from handrail.ui import Printer

PHASES = ["connect", "preflight", "lock", "upload", "prepare", "copy", "migrate", "back"]
_PROGRAM = "handrail.agent.rehearsal"


class RehearsalSession(Session):
    """A session whose agent can also rehearse a migration."""

    packages = (_PROGRAM,)
    main = f"{_PROGRAM}.main"


def check_declared(target: Target, values: Values) -> Value:
    """Return the database variable's value, or say what has to be declared for a rehearsal.

    Raises:
        ConfigError: the project declares no migration, no database, no ``migrate_state``, or the variable is not set.
    """
    service = target.service
    where = "[tool.handrail.service]"
    if service is None or not service.migrate:
        raise ConfigError(f"{where} declares no migrate, so there is no migration to plan")
    if not service.database:
        raise ConfigError(
            f"{where} does not say which variable names the database",
            next_step='declare it, for example: database = "DATABASE_URL"',
        )
    if not service.migrate_state:
        raise ConfigError(
            f"{where} declares no migrate_state, which has to show that {service.database} is what the project listens "
            "to before anything migrates",
            next_step='declare it, for example: migrate_state = "alembic current"',
        )
    if values.contract.variables and service.database not in values.contract.variables:
        near = did_you_mean(service.database, values.contract.variables)
        raise ConfigError(f"{where}: database names {service.database}, which env/example.env does not declare{near}")
    value = values.for_app().get(service.database)
    if value is None or not value.text:
        raise ConfigError(
            f"{service.database}, which names the database, is not set for {target.environment}; "
            f"looked in {', '.join(values.looked_in)}"
        )
    return value


def rehearse(
    target: Target, root: Path, bundle: Bundle, variables: Mapping[str, Value], printer: Printer, *, wait: float = 0.0
) -> dict[str, Any]:
    """Try the migration of ``bundle`` on a copy and return the document that ``--json`` prints.

    ``result`` is ``good`` where the migration went through on the copy, else ``failed``.

    Raises:
        PreflightError: it cannot be tried here; nothing was changed.
        LockedError: a deploy runs.
        InterruptedByUserError: interrupted; nothing was changed.
    """
    assert target.service is not None
    variable = variables[target.service.database]
    plain = {name: value.text for name, value in variables.items()}
    printer.hide(passwords(variable.text))
    database = describe_database(variable.name, variable.text, plain, target.service.shared)
    host = target.hosts[0]
    with Fleet(target, root, [host], RehearsalSession) as fleet, interruptible():
        try:
            with printer.board([host], PHASES) as board, fleet.showing(board):
                facts = _step(fleet, "connect", None)
                run = _Rehearsal(target, fleet, bundle, database, facts, printer)
                return run.go(variables, wait)
        except KeyboardInterrupt:
            raise InterruptedByUserError("interrupted; nothing was changed, and the copy is swept") from None


def _step(fleet: Fleet, phase: str, work: Any) -> Any:
    """Run one phase on the host; whatever fails has changed nothing.

    Raises:
        PreflightError: says what failed.
    """
    results, failures = fleet.connect() if work is None else fleet.each(phase, work)
    if failures:
        error = as_preflight(failures, phase)
        # There is one host, and the message names it.
        error.host_states = {}
        raise error
    return results[fleet.hosts[0]]


class _Rehearsal:
    """The steps, in their order."""

    def __init__(
        self,
        target: Target,
        fleet: Fleet,
        bundle: Bundle,
        database: dict[str, Any],
        facts: Mapping[str, Any],
        printer: Printer,
    ) -> None:
        assert target.service is not None
        self.target, self.service, self.fleet, self.bundle = target, target.service, fleet, bundle
        self.database, self.facts, self.printer = database, facts, printer
        self.reserve = target.reserve * MIB

    def go(self, variables: Mapping[str, Value], wait: float) -> dict[str, Any]:
        began = time.time()
        _step(self.fleet, "preflight", self.preflight)
        self.lock(wait)
        found = _step(self.fleet, "", lambda s: s.call("look_at_database", reserve_bytes=self.reserve, **self.database))
        if found["remark"]:
            self.printer.warn(f"the database: {found['remark']}")
        _step(self.fleet, "upload", self.upload)
        _step(self.fleet, "prepare", lambda session: session.call("rehearse", **self.request(variables)))
        before = _step(self.fleet, "copy", lambda s: s.call("copy_database", command=self.service.migrate_state))
        up = _step(self.fleet, "migrate", lambda session: self.call(session, "try_up"))
        down = None
        irreversible = up.get("irreversible", [])
        if up["ok"] and self.service.migrate_down and up["state"] != before["state"] and not irreversible:
            down = _step(self.fleet, "back", lambda session: self.call(session, "try_down"))
        left = _step(self.fleet, "", lambda session: session.call("end_rehearsal"))["left"]
        if left:
            self.printer.warn(f"{self.fleet.hosts[0]}: {left}")
        kind = {"kind": self.database["kind"], "variable": self.database["variable"], **found}
        return {
            "command": "db.plan",
            "environment": self.target.environment,
            "app": self.target.app,
            "host": self.fleet.hosts[0],
            "commit": self.bundle.commit,
            "bundle": self.bundle.digest,
            "result": "good" if up["ok"] else "failed",
            "database": {**kind, "copied_in": before["seconds"]},
            "migrate": {
                "command": self.service.migrate,
                **{key: up[key] for key in ("ok", "how", "returncode", "lines", "seconds")},
            },
            "state": {"before": before["state"], "after": up.get("state")},
            "schema_diff": schema_diff(before["schema"], up["schema"]) if up["ok"] else [],
            "rows": row_changes(before["rows"], up["rows"]) if up["ok"] else [],
            "irreversible": irreversible,
            "reversible": _reversible(self.service.migrate_down, before, up, down),
            "seconds": round(time.time() - began, 3),
        }

    def preflight(self, session: Session) -> None:
        from handrail.build import check_wheels

        problems = list(check_wheels(self.bundle, self.facts)) if self.bundle.python else []
        answer = session.call("preflight", service=None, **need_of(self.bundle, self.target))
        problems += answer["problems"]
        if problems:
            raise PreflightError(f"{session.host}: {problems[0]}", host=session.host, lines=problems[1:])
        service_for(self.target, self.facts)

    def lock(self, wait: float) -> None:
        host = self.fleet.hosts[0]
        holder = {"who": who(), "since": time.time(), "what": f"db.plan of {self.target.environment}"}
        started = time.monotonic()
        tell_of_lock(self.printer, host, self.fleet.lock(holder, wait)[host])
        self.fleet.finish(host, "lock", started)

    def upload(self, session: Session) -> None:
        with Parcels() as parcels:
            offered = session.call("offer", payload=pack(self.bundle.manifest()))
            for put in send_missing(session, self.bundle, parcels, offered["missing"]):
                session.wait(put)

    def request(self, variables: Mapping[str, Value]) -> dict[str, Any]:
        others = {name: value for name, value in variables.items() if name != self.database["variable"]}
        return prepare_request(self.target, release_id(0, self.bundle), others)

    def call(self, session: Session, op: str) -> dict[str, Any]:
        return session.call(op, on_event=lambda event: self.printer.output(event["line"], host=session.host))


def _reversible(
    declared: str, before: Mapping[str, Any], up: Mapping[str, Any], down: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return whether the migration ran back on the copy: ``verdict``, ``why``, and what did not come back."""
    if down is None:
        if not up["ok"]:
            return {"verdict": "unknown", "why": "the migration itself failed"}
        if up["state"] == before["state"]:
            return {"verdict": "nothing to undo", "why": "the migration changed no state"}
        if up["irreversible"]:
            return {"verdict": "no", "why": f"{' and '.join(up['irreversible'])} is declared as irreversible"}
        return {"verdict": "not tried", "why": "" if declared else "migrate_down is not declared"}
    facts = {
        "seconds": down["seconds"],
        "lines": down["lines"],
        "schema_diff": schema_diff(before["schema"], down["schema"]),
        "rows": row_changes(before["rows"], down["rows"]),
    }
    if not down["ok"]:
        return {"verdict": "failed", "why": f"migrate_down {down['how']}", **facts}
    if down["state"] != before["state"]:
        why = f"the state is {down['state']!r} afterwards, not {before['state']!r}"
        return {"verdict": "failed", "why": why, **facts}
    return {"verdict": "proved", "why": "", **facts}


def show_rehearsal(document: Mapping[str, Any], printer: Printer) -> None:
    """Print for people what the rehearsal has found."""
    database, migrate, back = document["database"], document["migrate"], document["reversible"]
    kind = f"{database['kind']} {database['version']}".strip()
    printer.info(
        f"Copied {database['name'] or 'an empty database'} ({kind}, {show_size(database['bytes'])}) "
        f"on {document['host']} in {database['copied_in']:.1f} s"
    )
    if not migrate["ok"]:
        printer.info("Nothing was changed: it was a copy, and it is gone.")
        return
    printer.info(f"`{migrate['command']}` took {migrate['seconds']:.1f} s on the copy")
    state = document["state"]
    old, new = _one_line(state["before"]), _one_line(state["after"])
    printer.info(f"state: {old} -> {new}" if old != new else f"state: {new}, as before: the migration changed nothing")
    for line in document["schema_diff"]:
        printer.output(line)
    if not document["schema_diff"]:
        printer.info("schema: no difference")
    for row in document["rows"]:
        printer.info(f"rows of {row['table']}: {_count(row['before'])} -> {_count(row['after'])}")
    if not document["rows"]:
        printer.info("rows: as many as before in every table")
    _show_way_back(back, printer)
    printer.info("Nothing was changed: it was a copy, and it is gone.")
    printer.info(f"To do it: inv deploy --env {document['environment']}")


def _show_way_back(back: Mapping[str, Any], printer: Printer) -> None:
    verdict = back["verdict"]
    if verdict == "failed":
        printer.warn(f"reversible: no; {back['why']}")
        printer.info(
            "If that is meant, name the migration in migrate_irreversible: no rollback crosses it unasked then."
        )
        return
    if verdict != "proved":
        printer.info(f"reversible: {verdict}" + (f", {back['why']}" if back["why"] else ""))
        return
    printer.success(f"reversible: proved; migrate_down took {back['seconds']:.1f} s on the copy")
    if back["schema_diff"]:
        printer.warn("the schema is not word for word what it was before:")
        for line in back["schema_diff"]:
            printer.output(line)
    for row in back["rows"]:
        printer.warn(f"rows of {row['table']} do not come back: {_count(row['before'])} -> {_count(row['after'])}")


def _one_line(state: str | None) -> str:
    lines = (state or "").splitlines()
    if not lines:
        return "empty"
    return lines[-1] if len(lines) == 1 else f"{lines[-1]} (and {len(lines) - 1} more)"


def _count(number: int | None) -> str:
    return "no such table" if number is None else str(number)
