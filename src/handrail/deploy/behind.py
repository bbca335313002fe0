"""Which hosts are behind the fleet, since when, and what they should serve: what the reached hosts remember, judged.

A deploy or rollback that ends without a host tells every host that it reached (``missing`` in their histories), and so
does each later one until the host has caught up. What was said last counts; "last" is the order of the hosts' own
histories, never a clock's. Nothing here asks a host.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from handrail.config.target import may_be_one
from handrail.deploy.failures import as_preflight, is_unreachable
from handrail.deploy.release import release_number
from handrail.errors import HandrailError, PreflightError

if TYPE_CHECKING:
    from handrail.deploy.fleet import Fleet
    from handrail.deploy.running import Run

Facts = Mapping[str, Mapping[str, Any]]
"""What each reached host says: ``current``, ``good``, ``history`` and ``events``."""


@dataclass(frozen=True)
class Behind:
    """One host that does not serve what the fleet serves.

    Attributes:
        serves: its release; of a host that is away, what it served when it was last reached. ``""``: none, or unknown.
        should: the release that the fleet serves.
        away: whether it could not be asked.
        missed: the release whose run ended without it first; ``""`` where no run says so.
        kind: of that run, ``deploy`` or ``rollback``.
        since: when that was, in seconds of the epoch; None where no run says so.
        why: as that run said it.
    """

    serves: str
    should: str
    away: bool = False
    missed: str = ""
    kind: str = "deploy"
    since: float | None = None
    why: str = ""

    def sentence(self) -> str:
        """Return what is the matter with it."""
        parts = []
        if self.missed:
            run = f"the rollback to {self.missed}" if self.kind == "rollback" else self.missed
            parts.append(f"was left out of {run} on {_date(self.since)}")
        if self.away:
            served = f" (it served {self.serves} when it was last reached)" if self.serves else ""
            parts.append(f"is still away, and should serve {self.should}{served}")
        else:
            parts.append(f"serves {self.serves or 'nothing'} and should serve {self.should}")
        return ", ".join(parts)

    def document(self) -> dict[str, Any]:
        """Return it as JSON documents show it."""
        return {
            "serves": self.serves or None,
            "should": self.should,
            "away": self.away,
            "missed": self.missed or None,
            "since": self.since,
            "why": self.why,
            "sentence": self.sentence(),
        }


@dataclass(frozen=True)
class Standing:
    """What the fleet serves (``""``: nothing yet), and the hosts that do not."""

    release: str = ""
    behind: Mapping[str, Behind] = field(default_factory=dict)


def standing(facts: Facts, hosts: Iterable[str]) -> Standing:
    """Return where a fleet stands.

    Args:
        hosts: of the environment; one that is no longer declared is nobody's debt.
    """
    said = {host: fact for host, fact in remembered(facts).items() if host in set(hosts)}
    release = _fleet_release(facts, said)
    behind = {}
    for host in hosts:
        fact = said.get(host, {})
        told: dict[str, Any] = {
            "missed": fact.get("release", ""),
            "kind": fact.get("kind", "deploy"),
            "since": fact.get("since"),
            "why": fact.get("why", ""),
        }
        if host in facts:
            if release and facts[host]["current"] != release:
                behind[host] = Behind(facts[host]["current"], release, **told)
        elif fact:
            behind[host] = Behind(fact.get("serves", ""), release, away=True, **told)
    return Standing(release, behind)


def remembered(facts: Facts) -> dict[str, dict[str, Any]]:
    """Return what the reached hosts remember of those that were left out: ``release``, ``kind``, ``since``, ``serves``
    and ``why`` by host.
    """
    runs = {host: _good_runs(fact) for host, fact in facts.items()}
    # What came before another run on any host is not the last word on any other.
    passed = {entry["deploy"] for entries in runs.values() for entry in entries[:-1]}
    last = {host: entries[-1] for host, entries in runs.items() if entries}
    said: dict[str, dict[str, Any]] = {}
    for host, entry in last.items():
        if entry["deploy"] in passed:
            continue
        caught_up = {
            name
            for event in facts[host].get("events", [])
            if event.get("event") == "catch-up" and event.get("of") == entry["deploy"]
            for name in event.get("hosts", [])
        }
        missing = entry.get("missing") or {}
        for name in missing:
            if name not in caught_up:
                # An older version kept the names alone.
                fact = missing[name] if isinstance(missing, Mapping) else {}
                said.setdefault(name, {"release": entry["release"], "since": entry.get("started"), **fact})
    return said


def taken_out(facts: Facts, declared: Iterable[str]) -> list[str]:
    """Return the hosts of the last deploy that are no longer declared: nobody has told what runs there to end."""
    lists = {fact["fleet"]["deploy"]: fact["fleet"]["hosts"] for fact in facts.values() if fact.get("fleet")}
    # A host that was left out remembers an older list.
    for fact in facts.values():
        for entry in [entry for entry in _good_runs(fact) if entry["deploy"] in lists][:-1]:
            lists[entry["deploy"]] = []
    known = list(declared)
    names = sorted({name for names in lists.values() for name in names})
    return [name for name in names if not any(may_be_one(name, host) for host in known)]


def goes_on_running(host: str, env: str) -> str:
    """Return what to say of a host that was taken out."""
    return (
        f"{host} is no longer in hosts of {env}: unless it was retired, its service and jobs go on there; "
        f"inv host.retire --env {env} --hosts {host} ends them"
    )


def to_remember(run: Run) -> dict[str, dict[str, Any]]:
    """Return what the hosts of a run that ends well are to remember: who was left out, and who still is."""
    now, why = run.standing, {**run.skipped, **run.left_out}
    brought = [host for host in run.fleet.hosts if host not in why]
    missing = {host: fact for host, fact in {**run.owed, **debts(now)}.items() if host not in brought}
    for host in why:
        serves = run.previous.get(host) or (now.behind[host].serves if host in now.behind else now.release)
        fact = {"release": run.release, "kind": run.kind, "since": run.started, "serves": serves, "why": why[host]}
        # It has waited since the first run that it missed.
        missing[host] = {**fact, **missing.get(host, {}), "serves": serves}
    return missing


def debts(now: Standing) -> dict[str, dict[str, Any]]:
    """Return what is remembered of the hosts that a run left out, so that it is not forgotten by the next line."""
    return {
        host: {"release": debt.missed, "kind": debt.kind, "since": debt.since, "serves": debt.serves, "why": debt.why}
        for host, debt in now.behind.items()
        if debt.missed
    }


def leave_out(
    fleet: Fleet, met: Facts, failures: Mapping[str, HandrailError], now: Standing, *, skip: bool
) -> dict[str, str]:
    """Drop the hosts that could not be met from a fleet that may go on without them; return why each is away.

    Args:
        met: the facts of those that were.
        skip: whether hosts that are away may be left out. One that is there and refuses never may.

    Raises:
        PreflightError: the fleet may not go on.
    """
    gone = {host: error.message for host, error in failures.items() if is_unreachable(error)}
    if failures and not (skip and met and len(gone) == len(failures)):
        raise still_away(as_preflight(failures, "connect"), now, gone, fleet.target.environment)
    fleet.drop(gone)
    return gone


def still_away(error: HandrailError, now: Standing, failures: Iterable[str], env: str) -> HandrailError:
    """Return the refusal of a run that could not reach a host which has to catch up; else ``error`` as it is."""
    waiting = [host for host in failures if host in now.behind]
    if not waiting:
        return error
    others = f" (and {len(waiting) - 1} more hosts)" if len(waiting) > 1 else ""
    return PreflightError(
        f"{waiting[0]} {now.behind[waiting[0]].sentence()}{others}",
        host=waiting[0],
        step="connect",
        lines=[error.message],
        host_states={**error.host_states, **{host: now.behind[host].sentence() for host in waiting}},
        next_step=f"bring it back and run it again, or leave it out once more with --skip-unreachable; "
        f"inv status --env {env}",
    )


def _good_runs(fact: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in fact["history"] if entry.get("result") == "good" and entry.get("deploy")]


def _fleet_release(facts: Facts, said: Iterable[str]) -> str:
    """Return what the hosts serve that nobody calls left out; where they differ, the newest of it that is good."""
    named = set(said)
    for hosts in ([host for host in facts if host not in named], list(facts)):
        serving = {facts[host]["current"] for host in hosts if facts[host]["current"] in facts[host]["good"]}
        if serving:
            # Two of one number come of deploys to different --hosts; every look has to mean the same one.
            return str(max(serving, key=lambda release: (release_number(release), release)))
    return ""


def _date(since: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(since)) if since else "an unknown day"
