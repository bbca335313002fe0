"""A page that the proxies of all hosts serve instead of the service: on everywhere or nowhere.

What is on is a file on each host beside the proxy's own, so it survives deploys and reboots and needs no process.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.deploy.events import by
from handrail.deploy.failures import facts_of, is_unreachable
from handrail.deploy.fleet import Fleet, tell_of_lock
from handrail.deploy.interrupts import interruptible, uninterruptible
from handrail.deploy.release import service_for
from handrail.deploy.session import HostError, Session
from handrail.errors import ConfigError, DeployReturnedError, NeedsPersonError, PreflightError, UsageError

if TYPE_CHECKING:
    from handrail.config.target import Target
    from handrail.errors import HandrailError
    from handrail.ui import Printer

# It is read whole by the proxy for each visitor.
MAX_BYTES = 256 * 1024
DEFAULT_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Down for maintenance</title>
<style>body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 20vh auto; padding: 0 1rem }</style>
<h1>Down for maintenance</h1>
<p>We are working on this service. Please come back in a few minutes.</p>
</html>
"""


def read_page(path: Path | None) -> str:
    """Return the page to serve: a file's text, or a plain page of our own.

    Raises:
        UsageError: no readable, non-empty UTF-8 file of at most 256 KiB.
    """
    if path is None:
        return DEFAULT_PAGE
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"--page {path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--page {path}: expected HTML as UTF-8 text") from None
    if not text.strip() or len(data) > MAX_BYTES:
        raise UsageError(f"--page {path}: {len(data)} bytes, expected some HTML of at most {MAX_BYTES}")
    # The host reads it back with line ends as text has them.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def set_maintenance(target: Target, root: Path, page: str, printer: Printer, *, wait: float = 0.0) -> dict[str, Any]:
    """Serve ``page`` on all hosts, or the service where it is empty; return the document that ``--json`` prints.

    The service comes back without the hosts that are away, which have an ``error`` in the document.

    Raises:
        ConfigError: the environment has no proxy.
        PreflightError: a host cannot do it; nothing was changed.
        LockedError: a deploy runs.
        DeployReturnedError: a host failed; all hosts serve what they served before.
        NeedsPersonError: and a host could not be brought back.
    """
    need_proxy(target)
    word, author = "on" if page else "off", by()

    def ask(session: Session, text: str | None) -> str:
        service = service_for(target, session.facts)
        return str(session.call("maintenance", service=service, page=text, by=author)["before"])

    with Fleet(target, root) as fleet, interruptible():
        facts, failures = fleet.connect()
        away = {} if page else leave_out(fleet, facts, failures, printer)
        refuse({host: error for host, error in failures.items() if host not in away})
        holder = {"who": author["who"], "since": time.time(), "what": f"maintenance {word} on {target.environment}"}
        for host, answer in fleet.lock(holder, wait).items():
            tell_of_lock(printer, host, answer)
        before, failures = fleet.each("maintenance", lambda session: ask(session, None))
        refuse(failures)
        try:
            _, failures = fleet.each("maintenance", lambda session: ask(session, page))
        except KeyboardInterrupt:
            undo(fleet, before, ask, target, holder)
            raise
        if failures:
            undo(fleet, before, ask, target, holder)
            host, error = next(iter(failures.items()))
            raise DeployReturnedError(
                **facts_of(host, error, "maintenance"),
                # A host whose rules an older version wrote.
                next_step=f"inv host.setup --env {target.environment} allows it" if "sudo" in error.command else "",
                host_states=dict.fromkeys(fleet.hosts, "serves what it served before"),
            )
    return {
        "command": "maintenance",
        "environment": target.environment,
        "app": target.app,
        "maintenance": word,
        "hosts": [
            {"host": host, "changed": host in before and before[host] != page, "error": away.get(host, "")}
            for host in target.hosts
            if host in before or host in away
        ],
    }


def leave_out(
    fleet: Fleet, facts: Mapping[str, Mapping[str, Any]], failures: Mapping[str, HandrailError], printer: Printer
) -> dict[str, str]:
    """Go on without the hosts that are away and those that serve nothing yet, unless no other one is left.

    Visitors of the others must not wait for a host that died; the page is a file there, which stays until somebody
    ends it. Returns why each of those hosts could not be reached.
    """
    away = {host: error.beside(host) for host, error in failures.items() if is_unreachable(error)}
    bare = [host for host, fact in facts.items() if not fact["current"]]
    if len(away) + len(bare) == len(fleet.hosts):
        return {}
    for host, why in away.items():
        printer.warn(f"{host}: {why}; what it serves stays: when it answers again, inv maintenance off once more")
    fleet.drop([*away, *bare])
    return away


def need_proxy(target: Target) -> None:
    """Raise ConfigError where the environment has nothing that could serve a page."""
    if target.service is None or target.proxy is None:
        raise ConfigError(
            f"{target.environment} has no proxy that could serve a page",
            next_step=f"declare one: [tool.handrail.environments.{target.environment}.proxy] with kind and site",
        )


def maintenance_state(target: Target, root: Path) -> dict[str, Any]:
    """Ask every host since when it serves a page, and change nothing; return the document that ``--json`` prints.

    Its ``maintenance`` is ``on``, ``off``, or ``mixed`` where hosts differ; a host that is away has an ``error``.

    Raises:
        ConfigError: the environment has no proxy.
    """
    need_proxy(target)

    def look(session: Session) -> float | None:
        facts = session.open()
        since: float | None = session.call("status", service=service_for(target, facts))["maintenance"]
        return since

    with Fleet(target, root) as fleet:
        since, failures = fleet.each("", look, narrow=True)
    words = {"on" if moment else "off" for moment in since.values()}
    return {
        "command": "maintenance",
        "environment": target.environment,
        "app": target.app,
        "maintenance": words.pop() if len(words) == 1 else "mixed" if words else "unknown",
        "hosts": [
            {
                "host": host,
                "since": since.get(host),
                "error": failures[host].beside(host) if host in failures else "",
            }
            for host in fleet.hosts
        ],
    }


def show_maintenance(document: Mapping[str, Any], printer: Printer) -> None:
    """Print who gets the page since when, and the words that change it."""
    env, rows = document["environment"], []
    for row in document["hosts"]:
        since = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(row["since"])) if row["since"] else "-"
        state = "unreachable" if row["error"] else "on" if row["since"] else "off"
        rows.append([row["host"], state, since])
    printer.table(f"maintenance of {document['app']} on {env}", ["host", "page", "since"], rows)
    for row in document["hosts"]:
        if row["error"]:
            printer.warn(f"{row['host']}: {row['error']}")
    sentences = {
        "on": f"on: visitors of {env} get the maintenance page; inv maintenance off --env {env}",
        "off": f"off: visitors of {env} get the service; inv maintenance on --env {env}",
        "mixed": f"MIXED: some hosts serve the page; inv maintenance on, or off, --env {env}",
        "unknown": "no host could be asked",
    }
    say = printer.success if document["maintenance"] in ("on", "off") else printer.warn
    say(sentences[document["maintenance"]])


def refuse(failures: Mapping[str, HandrailError]) -> None:
    """Raise the first of the hosts' failures as one that changed nothing."""
    for host, error in failures.items():
        if not isinstance(error, HostError):
            raise error
        raise PreflightError(**facts_of(host, error, "maintenance"))


def undo(fleet: Fleet, before: Mapping[str, str], ask: Any, target: Target, holder: dict[str, Any]) -> None:
    """Bring back on every host what it served before; a host whose connection was lost is asked again.

    Raises:
        NeedsPersonError: a host did not answer.
    """

    def bring_back(session: Session) -> str:
        return str(ask(session, before[session.host]))

    def take_up(session: Session) -> None:
        fleet.lock_again(session, holder)

    with uninterruptible():
        _, failed = fleet.each("", lambda session: fleet.insist(session, take_up, bring_back))
    if failed:
        silent = next(iter(failed))
        raise NeedsPersonError(
            f"{silent}: could not be asked to serve what it served before",
            host=silent,
            step="maintenance",
            next_step=f"when it answers again: inv maintenance {'on' if before[silent] else 'off'} "
            f"--env {target.environment}",
            host_states={h: "unknown" if h in failed else "serves what it served before" for h in fleet.hosts},
        )
