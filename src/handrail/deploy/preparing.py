"""The steps before any host is switched: preflight, upload, prepare, migrate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.deploy.failures import as_preflight, first_failure
from handrail.deploy.parcels import Parcels
from handrail.deploy.release import environment_text, launchers_for, variable_digests
from handrail.deploy.session import HostError, Session, pack
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
SMALL = 1 << 18
"""Bytes that are sent before the host has answered."""


def preflight(run: Run, bundle: Bundle) -> None:
    """Find every reason why this deploy would fail, on all hosts, before anything is changed.

    Each host is asked for its lock and for what it lacks in the same breath; where that would change anything or wait
    for somebody, it is left to the steps that follow.
    """
    from handrail.build import check_wheels

    request = need_of(bundle, run.job.target)
    lock = run.gentle_lock()
    manifest = pack(bundle.manifest())

    def work(session: Session) -> None:
        facts = run.facts[session.host]
        problems = list(check_wheels(bundle, facts)) if bundle.python else []
        number = session.post("preflight", service=run.services[session.host], **request)
        locking = offering = 0
        if not run.locked:
            locking = session.post("lock", **lock)
            offering = session.post("offer", payload=manifest)
        problems += session.wait(number)["problems"]
        if problems:
            raise PreflightError(f"{session.host}: {problems[0]}", host=session.host, lines=problems[1:])
        if locking and run.note_gentle_lock(session, locking):
            run.missing[session.host] = session.wait(offering)["missing"]

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


def send_missing(
    session: Session, bundle: Bundle, parcels: Parcels, missing: Sequence[int], after: int | None = None
) -> list[int]:
    """Send the objects that a host lacks, and do not wait: return the numbers of the requests.

    Args:
        missing: what the host has answered to an ``offer`` of this bundle.
        after: the request without which nothing is to be stored.
    """
    objects = bundle.objects()
    wanted = [objects[index] for index in missing]
    numbers = []
    for compressed in (True, False):
        part = [m for m in wanted if (m.kind == "file") is compressed]
        if part:
            parcel = [(m.sha256, m.size, _source(m)) for m in part]
            frames = parcels.frames(parcel, compressed=compressed)
            numbers.append(session.put(parcel, frames, compressed=compressed, after=after))
            after = numbers[-1]
    return numbers


def upload(run: Run, bundle: Bundle, ahead: Mapping[str, Any] | None = None) -> None:
    """Open the transaction everywhere and send what each host lacks; from here on hosts remember this deploy.

    A cut connection is opened again and goes on where its objects ended.

    Args:
        ahead: the request of `prepare`, sent along where nobody has to do anything between the two.
    """
    objects = bundle.objects()
    manifest = pack(bundle.manifest())
    run.begun = True

    def once(session: Session) -> None:
        missing = run.missing.pop(session.host, None)
        number = session.post("begin", **run.begin_request(session.host, bundle))
        offer = session.post("offer", payload=manifest, after=number) if missing is None else 0
        # Much is not sent to a host that may refuse.
        is_begun = missing is None or sum(objects[index].size for index in missing) > SMALL
        if is_begun:
            run.note_begun(session.host, session.wait(number))
        if missing is None:
            missing = session.wait(offer)["missing"]
        puts = send_missing(session, bundle, parcels, missing, number)
        if ahead is not None:
            run.preparing[session.host] = session.post("prepare", after=(puts or [number])[-1], **ahead)
        if not is_begun:
            run.note_begun(session.host, session.wait(number))
        for put in puts:
            session.wait(put)

    def work(session: Session) -> None:
        for attempt in range(1, UPLOAD_ATTEMPTS + 1):
            try:
                if not session.is_open:
                    run.missing.pop(session.host, None)
                    run.preparing.pop(session.host, None)
                    session.reopen()
                    run.fleet.lock_again(session, run.holder())
                once(session)
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


def prepare_request(target: Target, release: str, variables: Mapping[str, Value]) -> dict[str, Any]:
    """Return what makes a release complete beside its bundle."""
    return {
        "release": release,
        "env": environment_text(variables),
        "variables": variable_digests(variables),
        "launchers": launchers_for(target, release),
        "shared": list(target.service.shared) if target.service else [],
        "irreversible": list(target.service.migrate_irreversible) if target.service else [],
    }


def prepare(run: Run, request: Mapping[str, Any]) -> None:
    """Make the release complete where it is lacking, before any host is switched."""

    def work(session: Session) -> None:
        number = run.preparing.get(session.host) or session.post("prepare", **request)
        run.preparing[session.host] = number
        session.wait(number)
        del run.preparing[session.host]

    run.step("prepare", work, run.lacking)


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
