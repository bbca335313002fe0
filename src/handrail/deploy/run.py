"""From what was typed to a finished deploy: bundle, hooks, the engine, and what follows success.

The engine (`handrail.deploy.engine`) knows hosts; this module knows the project around it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.deploy import engine
from handrail.deploy.aborting import abort
from handrail.deploy.gates import (
    ask_approval,
    check_commit,
    check_gates,
    confirm_rollback,
    gate_problems,
)
from handrail.deploy.report import github_summary
from handrail.deploy.running import Job
from handrail.errors import HandrailError, PreflightError, TaskFailedError, UsageError, did_you_mean

if TYPE_CHECKING:
    from handrail.build.bundle import Bundle
    from handrail.commands import Runner
    from handrail.config.schema import Project
    from handrail.config.target import Target
    from handrail.config.values import Values
    from handrail.ui import Printer


@dataclass(frozen=True)
class Options:
    """What the user typed behind ``inv deploy`` and ``inv rollback``.

    Args:
        planned: the command line that does what a plan shows.
    """

    environment: str
    hosts: str = ""
    plan: bool = False
    yes: bool = False
    resume: bool = False
    abort: bool = False
    unsafe_untested: bool = False
    bundle: str = ""
    wait: float = 0.0
    to: str = ""
    skip_unreachable: bool = False
    hold: bool = False
    catch_up: bool = False
    with_migrations: bool = False
    across_irreversible: bool = False
    planned: str = ""


@dataclass
class Workshop:
    """What a deploy works with; made once by `open_workshop`."""

    root: Path
    project: Project
    values: Values
    target: Target
    hosts: list[str]
    printer: Printer
    runner: Runner
    options: Options


def open_workshop(root: Path, options: Options, printer: Printer, task: str = "deploy") -> Workshop:
    """Read and check what is declared, before anything is done.

    Args:
        task: whose variables the contract must find; a task needs only its own.

    Raises:
        ConfigError: with file and line.
    """
    from handrail.commands import Runner
    from handrail.config.contract import load_contract
    from handrail.config.load import environment, load_project
    from handrail.config.target import resolve
    from handrail.config.values import load_values

    project = load_project(root)
    environment(project, options.environment)
    values = load_values(root, options.environment, process=os.environ)
    printer.hide(values.secrets())
    load_contract(root).require(values, task)
    target = resolve(project, options.environment, values)
    for warning in [*values.warnings, *(target.warnings if task in ("deploy", "rollback", "promote") else [])]:
        printer.warn(warning)
    return Workshop(
        root=root,
        project=project,
        values=values,
        target=target,
        hosts=choose_hosts(target.hosts, options.hosts),
        printer=printer,
        runner=Runner(),
        options=options,
    )


def choose_hosts(hosts: list[str], chosen: str) -> list[str]:
    """Return the hosts named in a comma-separated list, by their full entry or by their bare name."""
    if not chosen:
        return hosts
    names = {host: {host, host.rpartition("@")[2], host.rpartition("@")[2].partition(":")[0]} for host in hosts}
    result = []
    for word in (part.strip() for part in chosen.split(",")):
        found = [host for host in hosts if word in names[host]]
        if not found:
            raise UsageError(f"--hosts: no host {word!r} in this environment{did_you_mean(word, hosts)}")
        result += [host for host in found if host not in result]
    return sorted(result, key=hosts.index)


def run_deploy(root: Path, options: Options, printer: Printer) -> dict[str, Any]:
    """Do what ``inv deploy`` says; return the document of what happened."""
    from handrail.deploy.connect import warm_up

    shop = open_workshop(root, options, printer)
    check_hold(shop.target, options)
    check_abort(options)
    check_catch_up(options)
    warm_up()
    if options.catch_up:
        return run_catch_up(shop)
    job = _job(shop)
    if options.abort:
        states = abort(job)
        for host, sentence in states.items():
            printer.info(f"{host}: {sentence}")
        return {"command": "abort", "environment": options.environment, "hosts": states}
    if options.plan:
        return plan_deploy(shop)
    check_commit(shop)
    with ExitStack() as dialled:
        if _nothing_comes_before_the_build(shop):
            from handrail.deploy.dialling import Dialling

            job.dial = dialled.enter_context(Dialling(shop.hosts, shop.target, root)).take
        with _nothing_changed():
            _hook(shop, "before_build")
            bundle = make_bundle(shop)
            _hook(shop, "after_build", {"HANDRAIL_BUNDLE": bundle.digest, "HANDRAIL_COMMIT": bundle.commit})
        check_gates(shop, bundle)
        document = engine.deploy(job, bundle, shop.values.for_app())
    if options.hold:
        printer.summary(github_summary(document))
    else:
        follow_up(shop, document)
    return document


def plan_deploy(shop: Workshop) -> dict[str, Any]:
    """Show what a deploy would do, and return it; nothing is changed."""
    from handrail.deploy.plan import make_plan, show_plan

    with _nothing_changed():
        bundle = make_bundle(shop)
    skip = shop.options.skip_unreachable
    plan = make_plan(
        shop.target,
        shop.root,
        shop.hosts,
        bundle,
        shop.values.for_app(),
        skip_unreachable=skip,
        hold=shop.options.hold,
    )
    plan["problems"] = gate_problems(shop, bundle)
    plan["approval"] = shop.target.approval
    show_plan(plan, shop.printer, shop.options.planned)
    return plan


def _nothing_comes_before_the_build(shop: Workshop) -> bool:
    """Tell whether the hosts may be called while the bundle is built: no hook and no person has a word to say first."""
    hooks = shop.project.hooks
    is_asked = shop.target.approval and not shop.options.yes
    return not (hooks.before_build or hooks.after_build or is_asked)


def check_hold(target: Target, options: Options) -> None:
    """Refuse ``--hold`` where it cannot be meant; nothing was contacted yet."""
    if options.hold and target.strategy != "blue-green":
        raise UsageError(
            f'--hold needs strategy = "blue-green", and {target.environment} has {target.strategy!r}: '
            "only a second instance can wait without traffic"
        )


def check_abort(options: Options) -> None:
    """Refuse ``--abort`` beside what it does not do; nothing was contacted yet."""
    if options.abort and options.plan:
        raise UsageError(
            "--abort has no plan: it ends what is unfinished",
            next_step=f"inv status --env {options.environment} says what that is",
        )
    if options.abort and (options.hold or options.resume):
        raise UsageError(f"{'--hold' if options.hold else '--resume'} and --abort contradict each other")


def check_with_migrations(shop: Workshop) -> None:
    """Refuse ``--with-migrations`` for some of the hosts; nothing was contacted yet."""
    if shop.options.with_migrations and shop.hosts != shop.target.hosts:
        raise UsageError("--with-migrations does not go with --hosts: all hosts share the database")


def check_catch_up(options: Options) -> None:
    """Refuse ``--catch-up`` beside what contradicts it; nothing was contacted yet."""
    if not options.catch_up:
        return
    others = {"--hold": options.hold, "--resume": options.resume, "--abort": options.abort, "--bundle": options.bundle}
    for name, is_given in others.items():
        if is_given:
            raise UsageError(f"--catch-up brings what the other hosts serve, as it is; it does not go with {name}")


def run_catch_up(shop: Workshop) -> dict[str, Any]:
    """Bring the hosts that are behind to what the fleet serves; with ``--plan`` say which and from what."""
    from handrail.config.secret import Secret
    from handrail.deploy.catching_up import catch_up, plan_catch_up

    # All hosts are asked: those that are not behind know what the fleet serves.
    job = replace(_job(shop), hosts=shop.target.hosts)
    if shop.options.plan:
        return plan_catch_up(job, shop.hosts, shop.options.planned)
    ask_approval(shop, "catch up")
    secrets = {name for name, value in shop.values.items() if isinstance(value.value, Secret)}
    document = catch_up(job, shop.hosts, secrets)
    if document["result"] == "good":
        follow_up(shop, document)
    return document


def run_promote(root: Path, options: Options, printer: Printer) -> dict[str, Any]:
    """Do what ``inv promote`` says; return the document of what happened."""
    from handrail.deploy.promote import promote

    shop = open_workshop(root, options, printer, "promote")
    ask_approval(shop, "promote")
    document = promote(_job(shop))
    follow_up(shop, document)
    return document


def run_rollback(root: Path, options: Options, printer: Printer) -> dict[str, Any]:
    """Do what ``inv rollback`` says; return the document of what happened."""
    shop = open_workshop(root, options, printer, "rollback")
    check_with_migrations(shop)
    ask_approval(shop, "roll back")
    document = engine.roll_back(_job(shop), options.to, partial(confirm_rollback, shop))
    follow_up(shop, document)
    return document


def run_rehearsal(root: Path, options: Options, printer: Printer) -> dict[str, Any]:
    """Do what ``inv db.plan`` says; return the document of what was found."""
    from handrail.deploy.database import describe_database
    from handrail.deploy.rehearsal import check_declared, rehearse

    shop = open_workshop(root, options, printer, "db.plan")
    value = check_declared(shop.target, shop.values)
    # Before a build that would be for nothing.
    describe_database(value.name, value.text, {}, [])
    with _nothing_changed():
        bundle = make_bundle(shop)
    return rehearse(shop.target, root, bundle, shop.values.for_app(), printer, wait=options.wait)


def make_bundle(shop: Workshop) -> Bundle:
    """Return the bundle that was named with ``--bundle``, or build it from this checkout."""
    from handrail.build.archive import read_bundle
    from handrail.build.bundle import build_bundle
    from handrail.deploy.release import check_bundle_fits

    if shop.options.bundle:
        work = shop.root / ".handrail" / "bundles"
        work.mkdir(parents=True, exist_ok=True)
        bundle = read_bundle(Path(shop.options.bundle), work)
    else:
        python = shop.target.python
        bundle = build_bundle(shop.project, shop.root, python=python, run=shop.runner, printer=shop.printer)
    check_bundle_fits(bundle, shop.target)
    return bundle


def follow_up(shop: Workshop, document: Mapping[str, Any]) -> None:
    """Tag, notify and report a success. The release is committed: what fails here is a warning, never a failure."""
    try:
        _tell_others(shop, document)
    except KeyboardInterrupt:
        shop.printer.warn(
            f"interrupted after the commit: {document['release']} stays; the hooks, tag and news that were to follow "
            "were cut off"
        )
    shop.printer.summary(github_summary(document))


def _tell_others(shop: Workshop, document: Mapping[str, Any]) -> None:
    from handrail.deploy.notify import notify
    from handrail.deploy.tag import tag_release

    target, printer = shop.target, shop.printer
    try:
        told = ("release", "previous", "commit", "bundle")
        facts = {f"HANDRAIL_{name.upper()}": document[name] or "" for name in told}
        # Those that were deployed to, as the hooks before were told: one may have been away.
        facts["HANDRAIL_HOSTS"] = " ".join(row["host"] for row in document["hosts"])
        _hook(shop, "after_commit", facts)
    except HandrailError as error:
        printer.warn(f"after_commit hook: {error.message}")
    if target.tag and document["commit"] and document["command"] in ("deploy", "promote"):
        try:
            tag_release(shop.root, target.environment, document["release"], document["commit"], shop.runner)
        except HandrailError as error:
            printer.warn(f"the git tag was not made: {error.message}")
    if target.notify:
        title = f"{target.app}: {document['release']} on {target.environment}"
        body = f"{document['command']} from {document['previous'] or 'nothing'} in {document['seconds']:.1f} s"
        notify(target.notify, title, body, printer)


@contextmanager
def _nothing_changed() -> Iterator[None]:
    """Give a failed build or hook the exit code which says that no host was touched."""
    try:
        yield
    except TaskFailedError as error:
        raise PreflightError(
            error.message,
            next_step=error.next_step or "no host was touched; fix it and run it again",
            step=error.step or "build",
            command=error.command,
            returncode=error.returncode,
            lines=error.lines,
        ) from None


def _job(shop: Workshop) -> Job:
    return Job(
        target=shop.target,
        root=shop.root,
        printer=shop.printer,
        hosts=shop.hosts,
        run_hooks=lambda moment, facts: _hook(shop, moment, facts),
        wait=shop.options.wait,
        resume=shop.options.resume,
        skip_unreachable=shop.options.skip_unreachable,
        hold=shop.options.hold,
        with_migrations=shop.options.with_migrations,
        hooked=frozenset(name for name in shop.project.hooks.__struct_fields__ if getattr(shop.project.hooks, name)),
    )


def _hook(shop: Workshop, moment: str, facts: Mapping[str, str] | None = None) -> None:
    from handrail.deploy.hooks import run_hooks

    commands: list[str] = getattr(shop.project.hooks, moment)
    if commands:
        known = {
            "HANDRAIL_ENV": shop.target.environment,
            "HANDRAIL_APP": shop.target.app,
            "HANDRAIL_HOSTS": " ".join(shop.hosts),
            "HANDRAIL_STEP": moment,
            **(facts or {}),
        }
        run_hooks(commands, moment, known, shop.root, shop.runner, shop.printer)
