"""``inv deploy``, ``rollback``, ``releases``, ``status`` and ``logs``: from a commit to a healthy release and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.errors import UsageError, beside
from handrail.tasks.base import TaskContext, task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handrail.config.target import Target

_HOSTS = "only these hosts, separated by commas"
_YES = "stand for the approval that the environment asks for"
_JSON = "print one JSON document"
_ENV = "the environment, as declared in pyproject.toml"
_SKIP = "go on without hosts that do not answer; they are remembered, and must catch up"
_NEXT = {
    "mixed": "inv deploy --env {} brings all hosts to one release",
    "down": "inv logs --env {}",
    "uncommitted": "wait for the deploy that runs, or: inv deploy --env {} --abort",
    "unreachable": "reach the host by hand: ssh -v, with the user and name that it has in pyproject.toml",
}
_WAIT = "seconds to wait for somebody else's deploy lock"


@task(
    group="deploy",
    example="inv deploy --env staging --plan",
    help={
        "env": _ENV,
        "plan": "say what would happen, host by host, and change nothing",
        "yes": _YES,
        "hosts": _HOSTS,
        "bundle": "ship this bundle file, made by inv build, instead of building one",
        "resume": "go on with a deploy whose client died",
        "abort": "end a deploy whose client died, or one that is held; what served before serves",
        "hold": "blue-green: prove the release beside the old one and leave the traffic there, until inv promote",
        "catch_up": "bring only the hosts that are behind, to the release that the others serve, from one of them",
        "wait": _WAIT,
        "skip_unreachable": _SKIP,
        "unsafe_untested": "deploy without the record of green checks that the environment asks for",
        "json": _JSON,
    },
)
def deploy(
    c: TaskContext,
    env: str,
    plan: bool = False,
    yes: bool = False,
    hosts: str = "",
    bundle: str = "",
    resume: bool = False,
    abort: bool = False,
    hold: bool = False,
    catch_up: bool = False,
    wait: float = 0.0,
    skip_unreachable: bool = False,
    unsafe_untested: bool = False,
    json: bool = False,
) -> None:
    """Ship this commit; return by itself if it is not healthy."""
    import sys

    from handrail.deploy.run import Options, run_deploy
    from handrail.tasks.rerun import planned_line

    options = Options(
        environment=env,
        hosts=hosts,
        plan=plan,
        yes=yes,
        resume=resume,
        abort=abort,
        hold=hold,
        catch_up=catch_up,
        unsafe_untested=unsafe_untested,
        bundle=bundle,
        wait=wait,
        skip_unreachable=skip_unreachable,
        planned=planned_line(sys.argv) if plan else "",
    )
    if not plan:
        _start_sandbox(c, env)
    _finish(c, lambda: run_deploy(c.root, options, c.printer))


@task(
    group="deploy",
    example="inv promote --env staging",
    help={"env": _ENV, "yes": _YES, "hosts": _HOSTS, "wait": _WAIT, "skip_unreachable": _SKIP, "json": _JSON},
)
def promote(
    c: TaskContext,
    env: str,
    yes: bool = False,
    hosts: str = "",
    wait: float = 0.0,
    skip_unreachable: bool = False,
    json: bool = False,
) -> None:
    """Send the traffic to what deploy --hold left waiting."""
    from handrail.deploy.run import Options, run_promote

    options = Options(environment=env, hosts=hosts, yes=yes, wait=wait, skip_unreachable=skip_unreachable)
    _finish(c, lambda: run_promote(c.root, options, c.printer))


@task(
    group="deploy",
    example="inv rollback --env staging",
    help={
        "env": _ENV,
        "to": "the release to return to; empty: the one that served before",
        "with_migrations": "bring the database schema back first, with the leaving release's migrate_down",
        "across_irreversible": "go back although a migration between cannot be undone; --yes does not stand for it",
        "yes": _YES,
        "hosts": _HOSTS,
        "wait": _WAIT,
        "skip_unreachable": _SKIP,
        "json": _JSON,
    },
)
def rollback(
    c: TaskContext,
    env: str,
    to: str = "",
    with_migrations: bool = False,
    across_irreversible: bool = False,
    yes: bool = False,
    hosts: str = "",
    wait: float = 0.0,
    skip_unreachable: bool = False,
    json: bool = False,
) -> None:
    """Return to an earlier release: code, dependencies, settings."""
    from handrail.deploy.run import Options, run_rollback

    options = Options(
        environment=env,
        hosts=hosts,
        yes=yes,
        to=to,
        wait=wait,
        skip_unreachable=skip_unreachable,
        with_migrations=with_migrations,
        across_irreversible=across_irreversible,
    )
    _finish(c, lambda: run_rollback(c.root, options, c.printer))


@task(
    group="deploy",
    example="inv status --env staging",
    help={"env": _ENV, "json": _JSON},
)
def status(c: TaskContext, env: str, json: bool = False) -> None:
    """Show what each host serves, its health, disk and lock."""
    from handrail.deploy.status import collect_status, show_status
    from handrail.errors import TaskFailedError

    document = collect_status(_target(c, env, "status"), c.root)
    c.printer.result(document)
    show_status(document, c.printer)
    if document["state"] not in ("ok", "empty"):
        steps = [row["next"] for row in document["hosts"] if row.get("next")]
        raise TaskFailedError(
            f"{env} is {document['state']}", next_step=steps[0] if steps else _NEXT[document["state"]].format(env)
        )


@task(
    group="deploy",
    example="inv releases --env staging --timeline 12 --svg timeline.svg",
    help={
        "env": _ENV,
        "timeline": "show when each host did what in one deploy: a release's id or number",
        "svg": "write the timeline as a picture into this file",
        "json": _JSON,
    },
)
def releases(c: TaskContext, env: str, timeline: str = "", svg: str = "", json: bool = False) -> None:
    """List the releases that the hosts know, newest first."""
    from handrail.completion.cache import remember_releases
    from handrail.deploy.status import collect_releases, release_line, show_releases

    if svg and not timeline:
        raise UsageError("--svg: a picture is made of one deploy's timeline; say which with --timeline ID")
    if timeline:
        _show_timeline(c, env, timeline, svg)
        return
    document = collect_releases(_target(c, env, "releases"), c.root)
    c.printer.result(document)
    show_releases(document, c.printer)
    remember_releases(c.root, env, [(row["release"], release_line(row)) for row in document["releases"]])


@task(
    group="deploy",
    example="inv logs --env staging --follow",
    help={
        "env": _ENV,
        "lines": "how many lines of each host, 9,999 at most",
        "process": "a background process instead of the service",
        "follow": "go on printing until Ctrl-C",
    },
)
def logs(c: TaskContext, env: str, lines: int = 50, follow: bool = False, process: str = "") -> None:
    """Print the service's last log lines of every host."""
    from handrail.agent.protocol import MOST_LINES
    from handrail.deploy.status import stream_logs

    if not 0 <= lines <= MOST_LINES:
        raise UsageError(f"--lines is {lines}, expected 0 to {MOST_LINES:,}")
    try:
        stream_logs(_target(c, env, "logs"), c.root, c.printer, lines=lines, follow=follow, process=process)
    except KeyboardInterrupt:
        if not follow:
            raise  # with --follow it is how one says "enough"


@task(
    group="deploy",
    example="inv scale --env staging web=4 worker=2",
    words="set",
    help={
        "env": _ENV,
        "set_": "process=number, also without the option's name; web: the server's own workers",
        "wait": _WAIT,
        "json": _JSON,
    },
)
def scale(c: TaskContext, env: str, set_: list[str] | None = None, wait: float = 0.0, json: bool = False) -> None:
    """Change how many processes run; without numbers, show them."""
    from handrail.deploy.run import Options, open_workshop
    from handrail.deploy.scale import run_scale

    shop = open_workshop(c.root, Options(environment=env), c.printer, "scale")
    c.printer.result(run_scale(shop.target, c.root, set_ or [], c.printer, wait=wait))


def _show_timeline(c: TaskContext, env: str, wanted: str, svg: str) -> None:
    from handrail.deploy.timeline import collect_timeline, save_svg, show_timeline

    document = collect_timeline(_target(c, env, "releases"), c.root, wanted)
    c.printer.result(document)
    show_timeline(document, c.printer)
    if svg:
        save_svg(document, Path(svg))
        c.printer.success(f"wrote {svg}")


def _start_sandbox(c: TaskContext, env: str) -> None:
    """Start the embedded host where the environment is that and it does not run: nobody else could mean it."""
    from handrail.config.load import load_project
    from handrail.sandbox.places import FOLDER

    project = load_project(c.root)
    declared = project.environments.get(env)
    if declared is None or declared.ssh_config != f"{FOLDER}/ssh_config":
        return
    # Other environments' deploys do without what runs a host here.
    from handrail.sandbox.lifecycle import status, up, upstream_port

    if status(c.root)["running"]:
        return
    up(c.root, upstream_port(project))
    c.printer.info("the sandbox was not running: it is up now (inv sandbox.down stops it)")


def _target(c: TaskContext, env: str, task: str) -> Target:
    from handrail.deploy.run import Options, open_workshop

    return open_workshop(c.root, Options(environment=env), c.printer, task).target


def _finish(c: TaskContext, work: Any) -> None:
    """Run a deploy or rollback and print how it ended, also as the document of a failure."""
    from handrail.deploy.report import annotate_failure, report_lines
    from handrail.errors import HandrailError

    try:
        document = work()
    except HandrailError as error:
        failed = getattr(error, "document", None)
        if failed:
            c.printer.result(failed)
            # Elsewhere the card says all of it.
            if os.environ.get("GITHUB_ACTIONS"):
                annotate_failure(failed, c.printer)
        raise
    c.printer.result(document)
    if document.get("result") == "nothing":
        from handrail.deploy.catching_up import nobody_is_behind

        staying = document["behind"]
        c.printer.success(f"{nobody_is_behind(staying)}: {document['environment']} serves {document['release']}")
        for host, debt in staying.items():
            c.printer.warn(f"{host} {debt['sentence']}; it stays behind")
    if document.get("result") == "held":
        env = document["environment"]
        c.printer.success(
            f"{env} holds {document['release']}, proved and without traffic, after {document['seconds']:.1f} s; "
            f"{document['previous'] or 'nothing'} serves"
        )
        if document["irreversible"]:
            c.printer.warn(f"{_cannot_be_undone(document)}, also after --abort")
        for host, why in document["left_out"].items():
            c.printer.warn(f"{host} was left out, and is remembered with the promotion: {beside(host, why)}")
        c.printer.info(f"To look at it: inv status --env {env}")
        c.printer.info(f"To send it the traffic: inv promote --env {env}   To end it: inv deploy --env {env} --abort")
    if document.get("result") == "good":
        url = f" at {document['url']}" if document["url"] else ""
        c.printer.success(
            f"{document['environment']} serves {document['release']}{url} after {document['seconds']:.1f} s"
        )
        for line in report_lines(document):
            c.printer.info(line)
        for host, debt in document["caught_up"].items():
            c.printer.info(f"{host} has caught up: it served {debt['serves'] or 'nothing'} before")
        for host, debt in document["behind"].items():
            why = beside(host, debt["why"])
            c.printer.warn(f"{host} was left out and must catch up with the next deploy: {why}")
        if document["irreversible"]:
            c.printer.warn(_cannot_be_undone(document))
        elif document["previous"]:
            c.printer.info(f"To undo it: {document['undo']}")


def _cannot_be_undone(document: Mapping[str, Any]) -> str:
    names = " and ".join(document["irreversible"])
    return f"{names} ran and cannot be undone: a rollback from here asks for --across-irreversible"
