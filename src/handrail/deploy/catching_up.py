"""``inv deploy --catch-up``: hosts that are behind get what the fleet serves, from a host that has it.

What was tested is what is deployed: objects, launchers and settings are the release's own, fetched from a host that
serves it, each object by its digest. So neither this checkout nor an index matters, and no two hosts have different
things under one release's name. A host that still keeps the release fetches nothing. Everything after that is a deploy,
with its own transaction, without the migration: that has run with the release.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.agent import app, receiving
from handrail.agent.refusal import Refused
from handrail.config.rules import RESERVED_PROCESSES
from handrail.deploy.behind import Behind, standing, still_away
from handrail.deploy.document import document
from handrail.deploy.events import by
from handrail.deploy.failures import as_preflight, is_unreachable
from handrail.deploy.preparing import preflight, prepare, upload
from handrail.deploy.running import Job, Run, running
from handrail.deploy.session import HostError, Session, pack
from handrail.errors import HandrailError, PreflightError

if TYPE_CHECKING:
    from handrail.build.bundle import Bundle
    from handrail.ui import Printer

# The agent's modules have no annotations: hosts have old Pythons.
App: Any = app.App
Receiver: Any = receiving.Receiver

PHASES = ["preflight", "upload", "prepare", "activate", "verify", "commit"]


def catch_up(job: Job, chosen: Sequence[str], secrets: Collection[str]) -> dict[str, Any]:
    """Bring the chosen hosts that are behind to the release that the others serve; return the run's document.

    Its ``result`` is ``nothing`` where no chosen host that can be asked is behind; ``behind`` names those that stay so.

    Args:
        job: with all hosts of the environment: those that are not behind say what it serves.
        secrets: names of variables whose values must not be shown.

    Raises:
        PreflightError: nothing is deployed, a host that is behind is still away, or no host has the release whole.
        HandrailError: as in a deploy.
    """
    with running(job, "catch-up") as run:
        meet(run, chosen)
        behind = [host for host in run.fleet.hosts if host in run.standing.behind and host in chosen]
        if not behind:
            return {
                **document(run, "nothing"),
                "release": run.standing.release,
                "behind": documents(run.standing.behind),
            }
        # Of all: what the fleet serves must not change meanwhile, and each host learns who has caught up.
        before = {host: fact["current"] for host, fact in run.facts.items()}
        run.lock()
        if before != {host: fact["current"] for host, fact in run.facts.items()}:
            raise PreflightError("what the hosts serve has changed meanwhile", step="lock", next_step="run it again")
        run.release = run.standing.release
        others = [host for host in run.fleet.hosts if host not in behind]
        run.fleet.drop(others)
        run.kept = {host for host in behind if run.release in run.facts[host]["good"]}
        run.show_board(PHASES)
        with tempfile.TemporaryDirectory(prefix="handrail-") as folder:
            found = [host for host in others if run.facts[host]["current"] == run.release]
            bundle, release = from_one_of(run, found, Path(folder))
            hide(job.printer, release["env"], secrets)
            run.bundle = bundle
            run.hook("before_upload")
            run.begin(bundle)
            upload(run, bundle)
        run.hook("after_upload")
        told = ("env", "variables", "launchers", "shared", "irreversible")
        prepare(run, {"release": run.release, **{name: release[name] for name in told}})
        run.hook("before_activate")
        run.roll_out()
        run.finish()
        with run.being_kept("hosts that do not know yet who has caught up learn it with the next run"):
            tell(run, others)
        return document(run, "good")


def plan_catch_up(job: Job, chosen: Sequence[str], planned: str) -> dict[str, Any]:
    """Say which hosts would be brought to what; changes nothing. Returns the document that ``--json`` prints.

    Args:
        planned: the command line that does it.
    """
    printer = job.printer
    with running(replace(job, run_hooks=lambda *_: None), "catch-up") as run:
        meet(run, chosen)
    now = run.standing
    behind = {host: debt for host, debt in now.behind.items() if host in chosen and host not in run.skipped}
    staying = {host: debt for host, debt in now.behind.items() if host not in behind}
    printer.info(f"Plan: catch-up of {job.target.app} on {job.target.environment} with {now.release}")
    for host, debt in behind.items():
        has = " (it has the release)" if host in run.facts and now.release in run.facts[host]["good"] else ""
        printer.info(f"  {host} {debt.sentence()}{has}")
    if not behind:
        printer.info(f"  {nobody_is_behind(staying)}")
    for host, debt in staying.items():
        printer.warn(f"{host} {debt.sentence()}; it stays behind")
    printer.info(f"\nNothing was changed. To do it: {planned}")
    return {
        "command": "plan",
        "environment": job.target.environment,
        "app": job.target.app,
        "release": now.release,
        "catch_up": documents(behind),
        "behind": documents(staying),
    }


def documents(behind: Mapping[str, Behind]) -> dict[str, dict[str, Any]]:
    return {host: debt.document() for host, debt in behind.items()}


def nobody_is_behind(staying: Collection[str]) -> str:
    """Return why there is nothing to do, beside the hosts that stay behind: they are away, or not chosen."""
    return "no chosen host that could be asked is behind" if staying else "no host is behind"


def meet(run: Run, chosen: Sequence[str]) -> None:
    """Connect to all hosts; one that is away matters only where it is known to be behind and was chosen."""
    facts, failures = run.fleet.connect()
    target, printer = run.job.target, run.job.printer
    run.standing = now = standing(facts, target.hosts)
    waiting = [host for host in failures if host in now.behind and host in chosen]
    if waiting and not run.job.skip_unreachable:
        raise still_away(as_preflight(failures, "connect"), now, waiting, target.environment)
    refused = {host: error for host, error in failures.items() if not is_unreachable(error)}
    if refused or not facts:
        raise as_preflight(refused or failures, "connect")
    if not now.release:
        raise PreflightError(
            f"no host of {target.environment} serves anything that others could catch up with",
            step="connect",
            next_step=f"inv deploy --env {target.environment}",
        )
    run.skipped = {host: failures[host].message for host in waiting}
    run.fleet.drop(failures)
    for host in failures:
        printer.warn(f"{host} cannot be asked: {failures[host].beside(host)}")
    run.take(facts)


def from_one_of(run: Run, hosts: Sequence[str], folder: Path) -> tuple[Bundle, dict[str, Any]]:
    """Return the release that is caught up with: its bundle, with what the hosts that are behind lack, and the rest.

    Raises:
        PreflightError: no host has it whole, or it runs other processes than those that are declared here.
    """
    why: dict[str, HandrailError] = {}
    for host in hosts:
        session = run.fleet.sessions[host]
        try:
            release = session.call("export", release=run.release)
            bundle = _bundle_of(run, host, release)
            if run.lacking:
                check_processes(run, release["launchers"], bundle.commit)
            preflight(run, bundle)
            return _fetched(run, session, bundle, folder), release
        except HostError as error:
            why[host] = error
    raise PreflightError(
        f"no host can give {run.release} to those that are behind",
        step="fetch",
        host_states={host: error.message for host, error in why.items()},
        next_step=f"inv deploy --env {run.job.target.environment} brings a new release to all",
    )


def check_processes(run: Run, launchers: Collection[str], commit: str) -> None:
    """Refuse what would run other processes than the release's own: how each is run is known to this checkout alone.

    Raises:
        PreflightError: names the first that differs.
    """
    # A name with a dot belongs to a job's further files.
    own = {name for name in launchers if "." not in name} - RESERVED_PROCESSES
    differ = sorted(own ^ run.job.target.processes.keys())
    if differ:
        name = differ[0]
        here = "which is not declared here" if name in own else "which is declared here"
        raise PreflightError(
            f"{run.release} {'has' if name in own else 'has no'} process {name!r}, {here}",
            step="fetch",
            next_step=f"check out {commit[:7] or 'what it was made of'} and run it again",
        )


def _bundle_of(run: Run, host: str, release: dict[str, Any]) -> Bundle:
    from handrail.build.manifest import read_manifest
    from handrail.deploy.release import check_bundle_fits

    bundle = read_manifest(release["manifest"], f"{run.release} on {host}")
    check_bundle_fits(bundle, run.job.target)
    deployed = [e["bundle"] for e in run.facts[host]["history"] if e.get("release") == run.release and e.get("bundle")]
    if deployed and bundle.digest != deployed[-1]:
        raise HostError(host, "digest", f"its {run.release} is no longer the bundle {deployed[-1][:12]} of its history")
    return bundle


def _fetched(run: Run, source: Session, bundle: Bundle, folder: Path) -> Bundle:
    """Return the bundle, its members on this machine as far as a host lacks them."""
    objects = bundle.objects()
    offered = run.step("", lambda session: session.call("offer", payload=pack(bundle.manifest())), run.lacking)
    missing = [objects[index] for index in sorted({i for answer in offered.values() for i in answer["missing"]})]
    store = App(str(folder), run.job.target.app)
    wanted = [(member.sha256, member.size) for member in missing]
    receiver = Receiver(store, wanted)
    try:
        source.wait(source.post("fetch", objects=wanted), on_data=receiver.feed)
    except Refused as error:
        raise HostError(source.host, error.kind, str(error)) from None
    if receiver.wanted is not None:
        raise HostError(source.host, "lost", "it sent less than it has")
    places = {digest: Path(store.object_path(digest)) for digest, _ in wanted}
    return replace(bundle, members=tuple(replace(m, source=places.get(m.sha256)) for m in bundle.members))


def hide(printer: Printer, env: str, secrets: Collection[str]) -> None:
    """Mask the release's own secrets from here on: they may be others than today's."""
    pairs = (word.partition("=") for word in shlex.split(env))
    printer.hide(value for name, _, value in pairs if name in secrets and value)


def tell(run: Run, others: Sequence[str]) -> None:
    """Have the other hosts remember that nobody is owed any more; a failure here is a warning."""
    done = [host for host in run.committed if host in run.standing.behind]
    what = f"{', '.join(done)} to {run.release}"
    author = by()

    def work(session: Session) -> None:
        session.call("note", event="catch-up", what=what, by=author, facts={"hosts": done})

    _, failures = run.fleet.each("", work, others)
    for host, error in failures.items():
        run.job.printer.warn(f"{host}: does not know yet that {', '.join(done)} caught up: {error.message}")
