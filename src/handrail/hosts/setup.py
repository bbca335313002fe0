"""The one executor of a set-up: looks at every host, shows what it would do, has it done, and looks again.

Every host is looked at before any is changed, and one that cannot become what is wanted stops them all. Then each
host goes its own way: its steps are planned anew whenever one brings what the next ones depend on (a package its
files, an account its home), until a look finds nothing left to do. A run that was cut off is finished by the next one
for that reason.
"""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.deploy.fleet import Fleet
from handrail.deploy.session import HostError, Session
from handrail.errors import DeployFailedError, HandrailError, LockedError, PreflightError, UsageError
from handrail.hosts.account import folders_step, keys_step, sudo_step, user_step
from handrail.hosts.hints import hints
from handrail.hosts.packages import NO_SOURCES, apt, explain_apt, packages_steps
from handrail.hosts.servers import manager_step, proxy_step
from handrail.hosts.session import SetupSession
from handrail.hosts.steps import Facts, Step, shown
from handrail.hosts.want import Want, bare_facts

if TYPE_CHECKING:
    from handrail.config.target import Target
    from handrail.ui import Board, Printer

PHASES = ["connect", "look", "packages", "user", "keys", "sudo", "folders", "python", "proxy", "manager"]
# Lists, packages, account, uv's Python, and the rest; one more that finds nothing.
_ROUNDS = 7


@dataclass
class Site:
    """One host while it is set up."""

    want: Want
    facts: Facts
    first: list[Step]
    """The steps as planned before anything was done."""
    has_python: bool = True
    done: list[Step] = field(default_factory=list)
    lists_failed: list[str] | None = None


def build_steps(want: Want, facts: Facts, lists_failed: list[str] | None = None) -> list[Step]:
    """Return every step for one host in its order, those with nothing to do among them."""
    packages = packages_steps(want, facts, lists_failed)
    python = packages.pop()
    user = user_step(want, facts)
    return [
        *packages,
        user,
        keys_step(want, facts),
        sudo_step(want, facts),
        folders_step(want, facts),
        python,
        proxy_step(want, facts),
        manager_step(want, facts),
    ]


def set_up(
    target: Target,
    root: Path,
    hosts: Sequence[str],
    printer: Printer,
    *,
    login: str = "",
    keys: Sequence[str] = (),
    plan: bool = False,
    agree: Any = None,
) -> dict[str, Any]:
    """Prepare the hosts, or with ``plan`` say what that would be; return the document.

    Args:
        login: who logs in; empty: each host's own user.
        keys: lines of authorized_keys for those who may deploy; none: the key that this login uses.
        agree: called when every host was looked at and something is to be done, before anything is.

    Raises:
        PreflightError: nothing was changed; says on which host what is in the way.
        DeployFailedError: a host is half done; the others were finished. Its ``document`` tells all.
    """

    if target.environment == "sandbox":
        raise UsageError("the sandbox needs no set-up", next_step="inv sandbox.up")

    def session(host: str, target: Target, root: Path) -> Session:
        return SetupSession(host, target, root, login)

    with Fleet(target, root, hosts, session) as fleet:
        with printer.board(hosts, PHASES[:2] if plan else PHASES) as board, fleet.showing(board):
            _, failures = fleet.connect()
            _stop(failures)
            sites, failures = fleet.each("look", lambda one: _site(one, target, keys))
            _stop(failures)
        _stop_for_problems(sites)
        document = _document(target, sites, plan=plan)
        todo = [host for host, site in sites.items() if any(step.todo for step in site.first)]
        if plan or not todo:
            return document
        if agree:
            agree()
        with printer.board(todo, PHASES[2:]) as board, fleet.showing(board):
            _, failures = fleet.each("", lambda one: _finish(one, sites[one.host], board), todo)
        document = _document(target, sites, failures=failures)
    if failures:
        raise _failed(failures, document)
    return document


def check_login(login: str) -> None:
    """Refuse what cannot be a login name, before it becomes part of an address."""
    if login and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", login):
        raise UsageError(f"--login is {login!r}, expected a user name such as admin")


def _site(session: Session, target: Target, keys: Sequence[str]) -> Site:
    assert isinstance(session, SetupSession)
    given = list(keys)
    if not given and session.key:
        given = [f"{session.key} {getpass.getuser()}@{socket.gethostname()}"]
    want = Want(session.host, session.login, session.user, target, given, session.ssh_port)
    if session.without_python:
        facts: Facts = bare_facts(want, session.without_python)
        install = apt("install", "--no-install-recommends", "python3")
        bring = Step("python3", todo="install python3, with which the rest is looked at and done", actions=[install])
        return Site(want, facts, [bring, *build_steps(want, facts)], has_python=False)
    facts = session.call("look", **want.request())
    return Site(want, facts, build_steps(want, facts))


def _finish(session: Session, site: Site, board: Board) -> None:
    """Do what is to be done on one host until nothing is left."""
    assert isinstance(session, SetupSession)
    host = session.host
    if not site.has_python:
        board.start(host, "packages")
        session.install_python()
        site.done.append(Step("python3", todo="install python3"))
    for _ in range(_ROUNDS):
        site.facts = session.call("look", **site.want.request())
        steps = build_steps(site.want, site.facts, site.lists_failed)
        problem = next((step for step in steps if step.problem), None)
        if problem:
            kind = DeployFailedError if site.done else PreflightError
            raise kind(f"{host}: {problem.problem}", host=host, step=problem.name, next_step=problem.next_step)
        steps = [step for step in steps if step.todo]
        if not steps:
            return
        batch = steps[: next((i for i, step in enumerate(steps, 1) if step.looks_again), len(steps))]
        _do(session, site, batch, board)
    left = "; ".join(step.todo for step in steps)
    raise DeployFailedError(f"{host}: done, and still to do: {left}", host=host, step=steps[0].name)


def _do(session: SetupSession, site: Site, batch: list[Step], board: Board) -> None:
    host, by_name = session.host, {step.name: step for step in batch}
    phase = {step.name: step.name if step.name in PHASES else "packages" for step in batch}

    def tell(event: dict[str, Any]) -> None:
        name = event.get("step", "")
        if event.get("state") == "start":
            board.start(host, phase[name])
        elif event.get("state") == "done":
            board.finish(host, phase[name], event["seconds"])
            # Fetching lists changes nothing that a person would miss.
            if name != "lists":
                site.done.append(by_name[name])

    steps = [{"name": step.name, "actions": list(step.actions)} for step in batch]
    try:
        answer = session.call("do", steps=steps, on_event=tell)
    except HostError as error:
        raise _explained(error, site, by_name) from None
    if "lists" in by_name:
        site.lists_failed = answer["failed"].get("lists", [])


def _explained(error: HostError, site: Site, steps: dict[str, Step]) -> HandrailError:
    """Say in the words of a set-up what the host said."""
    host, name = site.want.host, error.facts.get("step", "")
    if error.kind == "locked":
        return LockedError(
            f"{host}: {error.message}", host=host, step="lock", next_step="wait for it, then run this again"
        )
    facts: dict[str, Any] = {"host": host, "step": name, "command": error.command, "returncode": error.returncode}
    message, next_step = error.message, "run it again when the cause is gone: it goes on where it stopped"
    if name == "packages":
        what = steps[name].todo.removeprefix("install ")
        message = f"apt could not install {what}: {explain_apt(error.lines)}"
        next_step = NO_SOURCES
    elif name == "python":
        message = f"uv could not install Python {site.want.python}: {error.lines[-1] if error.lines else error.message}"
        next_step = f"give {site.want.user} a way to uv's downloads, or install Python {site.want.python} there"
    return DeployFailedError(f"{host}: {message}", lines=error.lines, next_step=next_step, **facts)


def _stop(failures: dict[str, HandrailError]) -> None:
    """Raise the first failure, where there are any: nothing was changed on any host."""
    if not failures:
        return
    states = {host: error.beside(host) for host, error in failures.items()}
    host, error = next(iter(failures.items()))
    message = error.message if error.message.startswith(host) or host in error.message else f"{host}: {error.message}"
    raise PreflightError(
        message,
        host=host,
        step=error.step,
        next_step=error.next_step,
        lines=error.lines,
        host_states=states if len(failures) > 1 else None,
    )


def _stop_for_problems(sites: dict[str, Site]) -> None:
    found = [(host, step) for host, site in sites.items() for step in site.first if step.problem]
    if not found:
        return
    host, step = found[0]
    raise PreflightError(
        f"{host}: {step.problem}",
        host=host,
        step=step.name,
        next_step=step.next_step,
        host_states={name: one.problem for name, one in reversed(found)} if len(found) > 1 else None,
    )


def _failed(failures: dict[str, HandrailError], document: dict[str, Any]) -> HandrailError:
    host, error = next(iter(failures.items()))
    states = {row["host"]: row["error"] or row["state"] for row in document["hosts"]}
    error.host_states = states if len(states) > 1 else {}
    was_lost = isinstance(error, HostError)
    if was_lost or (document["changed"] and isinstance(error, PreflightError | LockedError)):
        # Lost on the way: what runs there is finished, and the next run goes on. And what stopped one host alone before
        # anything was changed there does not speak for the others.
        error = DeployFailedError(
            f"{host}: {error.beside(host)}",
            host=host,
            step=error.step,
            lines=error.lines,
            host_states=error.host_states,
            next_step="run it again: it goes on where it stopped" if was_lost else error.next_step,
        )
    error.document = document
    return error


def _document(
    target: Target, sites: dict[str, Site], *, plan: bool = False, failures: dict[str, HandrailError] | None = None
) -> dict[str, Any]:
    """Return what ``--json`` prints.

    A host's ``state`` is ``ready`` (nothing was to be done), ``planned``, ``done`` or ``failed``; a step's is ``ok``,
    ``todo`` or ``done``.
    """
    rows = []
    for host, site in sites.items():
        error = (failures or {}).get(host)
        steps = site.done if (site.done or error) and not plan else site.first
        is_todo = any(step.todo for step in site.first)
        state = "failed" if error else "ready" if not is_todo else "planned" if plan else "done"
        word = "done" if site.done and not plan else "todo"
        rows.append(
            {
                "host": host,
                "login": site.want.login,
                "user": site.want.user,
                "system": site.facts["os"]["pretty_name"],
                "state": state,
                "steps": [
                    {
                        "step": step.name,
                        "state": word if step.todo else "ok",
                        "text": step.todo or step.there,
                        "commands": [shown(action) for action in step.actions],
                    }
                    for step in steps
                ],
                "hints": hints(site.want, site.facts),
                "error": error.beside(host) if error else "",
            }
        )
    return {
        "command": "host.setup",
        "environment": target.environment,
        "app": target.app,
        "plan": plan,
        "changed": any(site.done for site in sites.values()),
        "hosts": rows,
        "next": f"inv deploy --env {target.environment}",
    }
