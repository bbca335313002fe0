"""The steps before any host is switched: preflight, upload, prepare, migrate."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.deploy.failures import as_preflight, first_failure
from handrail.deploy.parcels import Parcels
from handrail.deploy.release import environment_text, launchers_for, variable_digests
from handrail.deploy.session import HostError, Session, pack
from handrail.deploy.who import who
from handrail.errors import PreflightError

if TYPE_CHECKING:
    from handrail.build.bundle import Bundle, Member
    from handrail.config.target import Target
    from handrail.config.values import Value
    from handrail.deploy.running import Run

MIB = 1 << 20
# Unpacked wheels and bytecode take about this much of their packed size.
UNPACKED = 4
UPLOAD_ATTEMPTS = 3


def preflight(run: Run, bundle: Bundle) -> None:
    """Find every reason why this deploy would fail, on all hosts, before anything is changed."""
    from handrail.build import check_wheels

    request = need_of(bundle, run.job.target)

    def work(session: Session) -> None:
        facts = run.facts[session.host]
        problems = list(check_wheels(bundle, facts)) if bundle.python else []
        problems += session.call("preflight", service=run.services[session.host], **request)["problems"]
        if problems:
            raise PreflightError(f"{session.host}: {problems[0]}", host=session.host, lines=problems[1:])

    _, failures = run.fleet.each("preflight", work, run.lacking)
    if failures:
        raise as_preflight(failures, "preflight")


def need_of(bundle: Bundle, target: Target) -> dict[str, Any]:
    """Return what a release of this bundle needs on a host: bytes, inodes, Python."""
    size = sum(member.size for member in bundle.objects())
    wheels = sum(member.size for member in bundle.members if member.kind == "wheel")
    return {
        "need_bytes": size + wheels * UNPACKED,
        "need_inodes": len(bundle.members) * 2 + (wheels // 4096),
        "reserve_bytes": target.reserve * MIB,
        "python": bundle.python,
    }


def send_missing(session: Session, bundle: Bundle, parcels: Parcels, offered: int | None = None) -> None:
    """Send the objects that a host lacks.

    Args:
        offered: the number of an ``offer`` of this bundle that was posted before.
    """
    objects = bundle.objects()
    number = offered or session.post("offer", payload=pack(bundle.manifest()))
    missing = [objects[index] for index in session.wait(number)["missing"]]
    for compressed in (True, False):
        part = [m for m in missing if (m.kind == "file") is compressed]
        if part:
            parcel = [(m.sha256, m.size, _source(m)) for m in part]
            session.put(parcel, parcels.frames(parcel, compressed=compressed), compressed=compressed)


def upload(run: Run, bundle: Bundle) -> None:
    """Send what each host lacks. A cut connection is opened again and goes on where its objects ended."""
    target = run.job.target

    def work(session: Session) -> None:
        for attempt in range(1, UPLOAD_ATTEMPTS + 1):
            try:
                if not session.is_open:
                    run.offered.pop(session.host, None)
                    session.reopen()
                    holder = {"who": who(), "since": time.time(), "what": "deploy", "deploy": run.deploy}
                    session.call("lock", holder=holder, wait=target.lease)
                    state = {"deploy": run.deploy, "release": run.release}
                    session.call("begin", state=state, keep=target.keep, digests=[])
                send_missing(session, bundle, parcels, run.offered.pop(session.host, None))
                return
            except HostError as error:
                if error.kind != "lost" or attempt == UPLOAD_ATTEMPTS:
                    raise
                session.close()
                if run.fleet.board:
                    run.fleet.board.note(session.host, "the connection was cut; sending the rest")

    with Parcels() as parcels:
        _, failures = run.fleet.each("upload", work, run.lacking, narrow=True)
    if failures:
        raise first_failure(failures)


def prepare(run: Run, variables: Mapping[str, Value]) -> None:
    """Make the release complete on every host before any host is switched."""
    target = run.job.target
    place(
        run,
        {
            "env": environment_text(variables),
            "variables": variable_digests(variables),
            "launchers": launchers_for(target, run.release),
            "shared": list(target.service.shared) if target.service else [],
            "irreversible": list(target.service.migrate_irreversible) if target.service else [],
        },
    )


def place(run: Run, release: Mapping[str, Any]) -> None:
    """Make the release complete where it is lacking; ``release``: what `prepare` on the host asks for of it."""
    request = {name: release[name] for name in ("env", "variables", "launchers", "shared", "irreversible")}
    run.step("prepare", lambda session: session.call("prepare", release=run.release, **request), run.lacking)


def migrate(run: Run) -> None:
    """Run the migration once, on the first host."""
    service = run.job.target.service
    if service is None or not service.migrate or run.migrate_skipped:
        return
    printer = run.job.printer

    def work(session: Session) -> None:
        try:
            answer = session.call(
                "migrate",
                command=service.migrate,
                on_event=lambda e: printer.output(e.get("line", ""), host=session.host),
            )
        except HostError as error:
            run.note_migration(error.facts)
            raise
        run.note_migration(answer)

    run.step("migrate", work, run.fleet.hosts[:1])


def _source(member: Member) -> Path:
    assert member.source is not None
    return member.source
