"""``inv host.retire``: a host goes out of service, also one that the environment no longer declares."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.config.target import may_be_one, parse_address
from handrail.deploy.events import by
from handrail.deploy.failures import as_preflight, facts_of
from handrail.deploy.fleet import Fleet, tell_of_lock
from handrail.deploy.interrupts import interruptible, uninterruptible
from handrail.deploy.release import service_for
from handrail.deploy.session import Session
from handrail.errors import ConfigError, DeployFailedError, UsageError

if TYPE_CHECKING:
    from handrail.config.target import Target
    from handrail.ui import Printer


def read_hosts(words: str, declared: Sequence[str]) -> list[str]:
    """Return the hosts of a comma-separated list, as they are declared or as ``[user@]host[:port]``.

    Raises:
        UsageError: none is named, or one has another form.
    """
    names = [word.strip() for word in words.split(",") if word.strip()]
    if not names:
        raise UsageError("--hosts: expected the hosts to retire, separated by commas")
    for name in names:
        try:
            parse_address(name)
        except ConfigError as error:
            raise UsageError(f"--hosts: {error.message}") from None
    chosen = [[host for host in declared if may_be_one(host, name)] or [name] for name in names]
    return list(dict.fromkeys(host for hosts in chosen for host in hosts))


def retire(
    target: Target, root: Path, hosts: Sequence[str], printer: Printer, agree: Callable[[], object], wait: float
) -> dict[str, Any]:
    """End what Handrail runs on these hosts; return the document that ``--json`` prints.

    Args:
        agree: asks for the approval that the environment demands, once the hosts are reached.
        wait: seconds for somebody else's lock.

    Raises:
        PreflightError: a host could not be reached; nothing was changed.
        LockedError: a deploy runs.
        DeployFailedError: something did not end, or a connection was lost; a second run goes on.
    """
    author = by()
    holder = {"who": author["who"], "since": time.time(), "what": f"retire from {target.environment}"}

    def leave(session: Session) -> dict[str, Any]:
        unfinished = locks[session.host]["transaction"]
        if unfinished and unfinished["step"] != "returned":
            session.call("return", deploy=unfinished["deploy"], reason="the host was retired", result="aborted")
        answer: dict[str, Any] = session.call("leave", service=service_for(target, session.facts), by=author)
        return answer

    with Fleet(target, root, hosts) as fleet, interruptible():
        failures = fleet.connect()[1]
        if failures:
            raise as_preflight(failures, "connect")
        agree()
        locks = fleet.lock(holder, wait)
        for host, answer in locks.items():
            tell_of_lock(printer, host, answer)
        # A host ends what it began: an interrupt would only leave unsaid what it did.
        with uninterruptible():
            answers, failures = fleet.each("", leave)
        if failures:
            host, error = next(iter(failures.items()))
            raise DeployFailedError(
                **facts_of(host, error, "retire"),
                next_step="run it again, it goes on from there",
                host_states={host: "retired" if host in answers else "not retired" for host in fleet.hosts},
            )
    return {
        "command": "host.retire",
        "environment": target.environment,
        "app": target.app,
        "hosts": [
            {
                "host": host,
                "ended": answer["ended"],
                "release": answer["serves"] or None,
                "declared": host in target.hosts,
            }
            for host, answer in answers.items()
        ],
    }


def show(document: dict[str, Any], printer: Printer) -> None:
    """Print what has ended, and what is left to do."""
    for row in document["hosts"]:
        ended = ", ".join(row["ended"])
        printer.success(f"{row['host']}: {f'{ended} ended' if ended else 'nothing of this app runs there'}")
    declared = [row["host"] for row in document["hosts"] if row["declared"]]
    if declared:
        printer.warn(
            f"{', '.join(declared)} still in hosts of {document['environment']}: the next deploy starts it again, "
            "unless you take it out of pyproject.toml"
        )
    printer.info("Releases and data stay there.")
