"""What a deploy would do, host by host. Looking is all it does: no lock, no file, no process is touched."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.deploy.behind import goes_on_running, leave_out, standing, taken_out
from handrail.deploy.failures import as_preflight
from handrail.deploy.fleet import Fleet
from handrail.deploy.preparing import need_of
from handrail.deploy.release import service_for, variable_digests
from handrail.deploy.rollout import rollout, sentences
from handrail.deploy.session import Session, pack
from handrail.errors import HandrailError, beside

if TYPE_CHECKING:
    from handrail.build.bundle import Bundle
    from handrail.config.target import Target
    from handrail.config.values import Value
    from handrail.ui import Printer

MOST_COMMITS = 20


def make_plan(
    target: Target,
    root: Path,
    hosts: Sequence[str],
    bundle: Bundle,
    variables: Mapping[str, Value],
    *,
    skip_unreachable: bool = False,
    hold: bool = False,
) -> dict[str, Any]:
    """Ask every host what it has and return the plan as one JSON-able document.

    Args:
        skip_unreachable: plan without the hosts that are away, as the deploy would go on without them.
        hold: it ends before the traffic moves.

    Raises:
        PreflightError: a host cannot be reached.
    """
    with Fleet(target, root, hosts) as fleet:
        facts, failures = fleet.connect()
        now = standing(facts, target.hosts)
        left_out = leave_out(fleet, facts, failures, now, skip=skip_unreachable)
        rows, failures = fleet.each("", lambda session: _plan_host(session, facts[session.host], target, bundle))
        if failures:
            raise as_preflight(failures, "plan")
    plans, covered = [], []
    for host in fleet.hosts:
        row = rows[host]
        old = row.pop("old_variables")
        row["variables"] = _compare(old, variables)
        known = row.pop("old_irreversible")
        declared = target.service.migrate_irreversible if target.service else []
        row["irreversible"] = [name for name in declared if row["running"] and name not in known]
        if row.pop("page"):
            covered.append(host)
        row["commits"] = _commits(root, row["running_commit"], bundle.commit)
        row["behind"] = now.behind[host].document() if host in now.behind else None
        plans.append(row)
    service = target.service
    return {
        "command": "plan",
        "environment": target.environment,
        "app": target.app,
        "bundle": bundle.digest,
        "commit": bundle.commit,
        "dirty": bundle.dirty,
        "strategy": target.strategy,
        "rollout": rollout(
            target, fleet.hosts, [row["host"] for row in plans if row["running"]], hold=hold, covered=covered
        ),
        "variables": {name: str(value.value) for name, value in sorted(variables.items())},
        "migrate": {"command": service.migrate, "host": plans[0]["host"]} if service and service.migrate else None,
        "hosts": plans,
        "left_out": {host: beside(host, why) for host, why in left_out.items()},
        "stays_behind": {host: debt.document() for host, debt in now.behind.items() if host not in hosts},
        "taken_out": taken_out(facts, target.hosts),
        "undo": _undo(target.environment, any(row["running"] for row in plans), hold=hold),
    }


def _undo(env: str, is_serving: bool, *, hold: bool) -> str:
    if hold:
        return f"inv deploy --env {env} --abort"
    return f"inv rollback --env {env}" if is_serving else ""


def _plan_host(session: Session, facts: Mapping[str, Any], target: Target, bundle: Bundle) -> dict[str, Any]:
    from handrail.build import check_wheels

    objects = bundle.objects()
    offered = session.call("offer", payload=pack(bundle.manifest()))
    missing = [objects[index] for index in offered["missing"]]
    current = facts["current"]
    old = session.call("release_facts", release=current) if current else {}
    problems = list(check_wheels(bundle, facts)) if bundle.python else []
    service: dict[str, Any] | None = None
    try:
        service = service_for(target, facts)
    except HandrailError as error:
        problems.append(error.message)
    answer = session.call("preflight", service=service, **need_of(bundle, target))
    lock = facts["lock"]
    return {
        "host": session.host,
        "running": current or None,
        "running_commit": (old.get("manifest") or {}).get("commit", ""),
        "old_variables": old.get("variables") or {},
        "old_irreversible": old.get("irreversible") or [],
        "travels": {
            "objects": len(missing),
            "bytes": sum(member.size for member in missing),
            "wheels": [{"name": m.path, "bytes": m.size} for m in missing if m.kind in ("wheel", "tool")],
            "files": sum(1 for m in missing if m.kind == "file"),
        },
        "problems": problems + answer["problems"],
        "page": answer["page"],
        "locked_by": (lock.get("holder") or {}).get("who", "somebody") if lock["held"] else None,
        "way_back": f"returns to {current} by itself on failure" if current else "first release: nothing to return to",
    }


def _compare(old: Mapping[str, Any], variables: Mapping[str, Value]) -> dict[str, list[str]]:
    """Name the variables that differ. The host has digests of the old values, and those alone are compared."""
    before: Mapping[str, str] = old.get("digests", {})
    now = variable_digests(variables, old.get("salt", ""))["digests"]
    return {
        "added": sorted(set(now) - set(before)),
        "changed": sorted(name for name in set(now) & set(before) if now[name] != before[name]),
        "removed": sorted(set(before) - set(now)),
    }


def _commits(root: Path, old: str, new: str) -> list[str] | None:
    """Return the commits between two releases, newest first; None where git does not know the old one."""
    if not old or not new:
        return None
    argv = ["git", "log", "--oneline", "--no-decorate", f"--max-count={MOST_COMMITS}", f"{old}..{new}"]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else None


def show_plan(plan: Mapping[str, Any], printer: Printer, planned: str) -> None:
    """Print a plan for people.

    Args:
        planned: the command line that does what it shows.
    """
    commit = (plan["commit"] or "no commit")[:7] + (" with uncommitted changes" if plan["dirty"] else "")
    printer.info(f"Plan: {plan['app']} to {plan['environment']}, {commit}, bundle {plan['bundle'][:12]}")
    for row in plan["hosts"]:
        printer.info(f"\n{row['host']}")
        facts = [("running now", row["running"] or "nothing (first deploy)")]
        if row["behind"]:
            facts.append(("behind", f"{row['behind']['sentence']}; it is brought along"))
        if row["commits"]:
            facts += [("commits" if i == 0 else "", line) for i, line in enumerate(row["commits"])]
        elif row["commits"] is not None:
            facts.append(("commits", "none: the running release is of this commit"))
        elif row["running"]:
            facts.append(("commits", "unknown: the running commit is not in this repository"))
        facts += [("variables" if i == 0 else "", line) for i, line in enumerate(_variable_lines(plan, row))]
        travels = row["travels"]
        objects = "object" if travels["objects"] == 1 else "objects"
        facts.append(("travels", f"{show_size(travels['bytes'])} in {travels['objects']} {objects}"))
        facts += [("", f"{wheel['name']}  {show_size(wheel['bytes'])}") for wheel in travels["wheels"]]
        migration = plan["migrate"]
        if migration and migration["host"] == row["host"]:
            facts.append(("migration", migration["command"]))
            if row["irreversible"]:
                facts.append(("", f"cannot be undone: {', '.join(row['irreversible'])}"))
        facts.append(("way back", row["way_back"]))
        if row["locked_by"]:
            facts.append(("locked", f"by {row['locked_by']}"))
        for word, text in facts:
            printer.info(f"  {word:<12} {text}")
        for problem in row["problems"]:
            printer.warn(f"would refuse: {problem}")
    for host, why in plan["left_out"].items():
        printer.warn(f"{host} would be left out, and remembered: {why}")
    for host, debt in plan["stays_behind"].items():
        printer.warn(f"{host} {debt['sentence']}; it is not among --hosts, and would stay behind")
    for host in plan["taken_out"]:
        printer.warn(goes_on_running(host, plan["environment"]))
    first, *rest = sentences(plan["rollout"])
    printer.info(f"\nRoll-out\n  {first}")
    for line in rest:
        printer.info(f"    {line}")
    for problem in plan.get("problems", []):
        printer.warn(f"would refuse: {problem}")
    if plan.get("approval"):
        printer.info(f"\nThe deploy asks for the name {plan['environment']!r} to be typed, or --yes.")
    printer.info(f"\nNothing was changed. To do it: {planned}")
    if plan["undo"]:
        printer.info(f"To undo it afterwards: {plan['undo']}")


def _variable_lines(plan: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """Return what changes: with the new value, which is the mask for a secret; the old one is nowhere to be read."""
    values = {name: " ".join(text.split()) for name, text in plan["variables"].items()}
    differ = row["variables"]
    lines = [f"+ {name} = {values[name]}" for name in differ["added"]]
    lines += [f"~ {name} = {values[name]}" for name in differ["changed"]]
    return lines + [f"- {name}" for name in differ["removed"]]


def show_size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
