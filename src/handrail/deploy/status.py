"""What the hosts say of themselves: status, releases and logs. Nothing here changes a host."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.deploy.behind import Standing, goes_on_running, standing, taken_out
from handrail.deploy.events import merged_events, show_events
from handrail.deploy.fleet import Fleet
from handrail.deploy.goals import resume_line
from handrail.deploy.jobs import hosts_of
from handrail.deploy.release import UNCONFINED, release_number, service_for
from handrail.deploy.session import Session
from handrail.errors import HandrailError, TaskFailedError, beside

if TYPE_CHECKING:
    from handrail.config.target import Target
    from handrail.ui import Printer


def collect_status(target: Target, root: Path, hosts: Sequence[str] | None = None) -> dict[str, Any]:
    """Ask every host and return one document.

    ``state`` is ``ok`` (one good, healthy release everywhere), ``mixed`` (hosts differ), ``down`` (a release that is
    not healthy), ``uncommitted`` (a release that is not decided yet), ``empty`` (nothing deployed) or
    ``unreachable`` (a host did not answer; what the others serve is still told).
    """

    def look(session: Session) -> dict[str, Any]:
        facts = session.open()
        answer = session.call("status", service=service_for(target, facts))
        return _describe(session.host, answer)

    with Fleet(target, root, hosts) as fleet:
        rows, failures = fleet.each("", look, narrow=True)
    described = [rows.get(host) or _unreachable(host, failures[host]) for host in fleet.hosts]
    now = _standing(described)
    return {
        "command": "status",
        "environment": target.environment,
        "app": target.app,
        "state": _state(described),
        "ssh_config": target.ssh_config,
        "serves": now.release or None,
        "behind": {host: debt.sentence() for host, debt in now.behind.items()},
        "left_out": {host: debt.document() for host, debt in now.behind.items()},
        "taken_out": taken_out({row["host"]: row for row in described}, target.hosts),
        "events": merged_events(described),
        "hosts": described,
    }


def _describe(host: str, answer: dict[str, Any]) -> dict[str, Any]:
    current = answer["current"]
    service = answer["service"]
    transaction = answer["transaction"]
    if transaction and transaction["step"] in ("returned", "held"):
        transaction = None
    # What a rollback would go to: the release that the running one was deployed over.
    before = [
        entry
        for entry in answer["history"]
        if entry.get("result") == "good" and entry.get("kind") == "deploy" and entry.get("release") == current
    ]
    committed = current in answer["good"]
    processes = answer["processes"]
    failed = next((f"{p['name']}: {p['why']}" for p in processes if not p["ok"]), "")
    health = (service or {}).get("health")
    ok = bool(service["ok"] and service["running_release"] in (current, "")) if service else bool(current)
    return {
        "host": host,
        "release": current or None,
        "previous": before[-1].get("from") if before else None,
        "committed": committed,
        "running_release": (service or {}).get("running_release") or None,
        "slot": answer["slot"],
        "processes": processes,
        "scale": answer["scale"],
        "ok": ok and committed and not failed,
        "unconfined": bool((service or {}).get("unconfined")),
        "why": (service or {}).get("why", "") or failed,
        "health": health,
        "service": {"pid": (service or {}).get("pid", 0)},
        "disk": {"free": answer["disk"]["free"], "inodes_free": answer["disk"]["inodes_free"]},
        "lock": answer["lock"],
        "transaction": transaction,
        "held": answer["held"],
        "maintenance": answer["maintenance"],
        "history": answer["history"],
        "events": answer["events"],
        "fleet": answer["fleet"],
        "good": answer["good"],
        "error": "",
    }


def _unreachable(host: str, error: HandrailError) -> dict[str, Any]:
    return {
        "next": error.next_step,
        "host": host, "release": None, "previous": None, "committed": False, "running_release": None, "ok": False,
        "slot": "", "why": error.message, "health": None, "service": {"pid": 0}, "disk": None, "lock": None,
        "transaction": None, "held": None, "maintenance": None, "history": [], "good": [], "error": error.message,
        "processes": [], "scale": {}, "events": [], "fleet": None, "unconfined": False,
    }  # fmt: skip


def _state(rows: Sequence[dict[str, Any]]) -> str:
    if any(row["error"] for row in rows):
        return "unreachable"
    if len({row["release"] for row in rows}) > 1:
        return "mixed"
    if rows[0]["release"] is None:
        return "empty"
    if any(not row["committed"] for row in rows):
        return "uncommitted"
    if any(row["running_release"] not in (None, row["release"]) for row in rows):
        return "mixed"
    return "ok" if all(row["ok"] for row in rows) else "down"


def _standing(rows: Sequence[Mapping[str, Any]]) -> Standing:
    facts = {row["host"]: {**row, "current": row["release"] or ""} for row in rows if not row["error"]}
    return standing(facts, [row["host"] for row in rows])


def show_status(document: dict[str, Any], printer: Printer) -> None:
    """Print a status document as a table and one closing line."""
    rows = []
    for row in document["hosts"]:
        health = row["health"]
        if row["error"]:
            told = "unreachable"
        elif row["release"] is None:
            told = "-"
        elif row["ok"]:
            told = f"ok {health['seconds'] * 1000:.0f} ms" if health else "ok"
        else:
            told = row["why"] or "not committed"
        free = f"{row['disk']['free'] / 2**30:.1f} GiB" if row["disk"] else "-"
        lock = row["lock"] or {}
        holder = (lock.get("holder") or {}).get("who", "somebody") if lock.get("held") else "-"
        rows.append([row["host"], row["release"] or "-", told, row["previous"] or "-", free, holder])
    title = f"{document['app']} on {document['environment']}"
    printer.table(title, ["host", "release", "health", "previous", "disk free", "lock"], rows)
    show_processes(document, printer)
    for row in document["hosts"]:
        left = row["transaction"]
        if left:
            env = document["environment"]
            what = "catch-up with" if left.get("catch_up") else "deploy of"
            printer.warn(
                f"{row['host']}: {what} {left['release']} by {left['who']} is unfinished (step: {left['step']}); "
                f"{resume_line(env, left)} goes on with it, inv deploy --env {env} --abort ends it"
            )
        if row["maintenance"]:
            since = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(row["maintenance"]))
            printer.warn(
                f"{row['host']}: visitors get the maintenance page since {since}; "
                f"inv maintenance off --env {document['environment']}"
            )
        if row["unconfined"]:
            printer.warn(f"{row['host']}: {UNCONFINED}")
    show_held(document, printer)
    for row in document["hosts"]:
        if row["error"]:
            printer.warn(row["error"] if row["error"].startswith(row["host"]) else f"{row['host']}: {row['error']}")
    show_behind(document, printer)
    words = {
        "ok": "every host serves the same healthy release",
        "mixed": "MIXED: the hosts do not serve the same release",
        "down": "the release is not healthy",
        "uncommitted": "a release is active that nobody has committed yet",
        "empty": "nothing is deployed yet",
        "unreachable": "not every host could be asked; the others say what they serve",
    }
    say = printer.success if document["state"] == "ok" else printer.warn
    say(f"{document['state']}: {words[document['state']]}")


def show_behind(document: dict[str, Any], printer: Printer) -> None:
    """Say which hosts are behind, and what brings them along."""
    for host, debt in document["left_out"].items():
        ends = "the next deploy stops while it is away" if debt["away"] else "the next deploy brings it along"
        printer.warn(f"{host} {debt['sentence']}; {ends}")
    if any(not debt["away"] for debt in document["left_out"].values()):
        command = f"inv deploy --env {document['environment']} --catch-up"
        printer.info(f"  to {document['serves']}, and without a change to the other hosts: {command}")
    for host in document["taken_out"]:
        printer.warn(goes_on_running(host, document["environment"]))


def show_processes(document: dict[str, Any], printer: Printer) -> None:
    """Print the background processes, where there are any: how many of each run as the release that serves."""
    rows = []
    for row in document["hosts"]:
        for name in sorted({process["process"] for process in row["processes"]}):
            own = [process for process in row["processes"] if process["process"] == name]
            if "schedule" in own[0]:
                continue
            well = sum(process["ok"] for process in own)
            why = next((process["why"] for process in own if not process["ok"]), "")
            rows.append([row["host"], name, f"{well} of {len(own)}", why or "ok"])
    if rows:
        printer.table("processes", ["host", "process", "running", "state"], rows)
    show_jobs(document, printer)


def show_jobs(document: dict[str, Any], printer: Printer) -> None:
    """Print the periodic jobs, where there are any: when each runs next, and how its last run ended."""

    def at(moment: float | None) -> str:
        # The schedule is in UTC, so its times are shown so, too.
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(moment)) if moment else "-"

    rows, failed = [], []
    for row in document["hosts"]:
        for job in (process for process in row["processes"] if "schedule" in process):
            last = job["last"] or {}
            told = "-" if not last else "ok" if last["code"] == 0 else _ending(last["code"])
            if job["running"]:
                told = f"running since {at(job['running'])}"
            elif last.get("code"):
                failed.append((row["host"], job["process"], told))
            rows.append(
                [
                    row["host"],
                    job["process"],
                    job["schedule"],
                    at(job["next"]),
                    at(last.get("ended")),
                    job["why"] or told,
                ]
            )
    if rows:
        printer.table("jobs (times in UTC)", ["host", "job", "schedule", "next run", "last run", "result"], rows)
    for host, name, told in failed:
        printer.warn(
            f"{host}: the last run of {name} {'was ended by' if told.startswith('signal') else 'ended with'} {told}; "
            f"inv logs --env {document['environment']} --process {name}"
        )


def _ending(code: int | None) -> str:
    if code is None:
        return "ended unseen: its scheduler had been killed"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def show_held(document: dict[str, Any], printer: Printer) -> None:
    """Say what is held on which host, how to look at it, and what to do with it."""
    env = document["environment"]
    holding = [row for row in document["hosts"] if row["held"]]
    for row in holding:
        held = row["held"]
        printer.info(f"{row['host']}: {held_line(held)}")
        if held["ok"]:
            look = tunnel(row["host"], held["port"], document["ssh_config"])
            printer.info(f"  look at it: {look}  then http://127.0.0.1:{held['port']}/")
        else:
            printer.warn(f"{row['host']}: {held['release']} is not well ({held['why']}); inv promote starts it again")
    if not holding:
        return
    others = [row["host"] for row in document["hosts"] if not row["held"]]
    if others or len({row["held"]["deploy"] for row in holding}) > 1:
        printer.warn(
            f"not every host holds the same release{': ' + ', '.join(others) + ' holds none' if others else ''}; "
            f"inv deploy --env {env} --hold brings one to all, --abort ends it"
        )
    else:
        printer.info(f"  send it the traffic: inv promote --env {env}   end it: inv deploy --env {env} --abort")


def held_line(held: Mapping[str, Any]) -> str:
    """Return what a host holds as one sentence: which release, where, since when and by whom."""
    facts = {**held, **(held["held"] if isinstance(held.get("held"), Mapping) else {})}
    since = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(facts["since"]))
    return f"holds {facts['release']} on port {facts['port']} without traffic, since {since}, by {facts['who']}"


def tunnel(host: str, port: int, ssh_config: str = "") -> str:
    """Return the ssh command that brings a host's loopback port to this machine."""
    from handrail.config.target import parse_address

    address = parse_address(host)
    words = ["ssh", "-N", "-L", f"{port}:127.0.0.1:{port}"]
    words += ["-F", shlex.quote(ssh_config)] if ssh_config else []
    words += ["-p", str(address.port)] if address.port else []
    return " ".join([*words, f"{address.user}@{address.host}" if address.user else address.host])


def demand_an_answer(status: Mapping[str, Any]) -> None:
    """Refuse to tell of a past that no host could be asked about.

    Raises:
        TaskFailedError: names why each host is away.
    """
    rows = status["hosts"]
    if all(row["error"] for row in rows):
        raise TaskFailedError(
            f"no host of {status['environment']} could be asked",
            host_states={row["host"]: beside(row["host"], row["error"]) for row in rows},
            next_step=next((row["next"] for row in rows if row["next"]), ""),
        )


def collect_releases(target: Target, root: Path) -> dict[str, Any]:
    """Return every release that the hosts' histories name, newest first, with the hosts where it is.

    Raises:
        TaskFailedError: no host could be asked.
    """
    status = collect_status(target, root)
    demand_an_answer(status)
    releases: dict[str, dict[str, Any]] = {}
    for row in status["hosts"]:
        for entry in row["history"]:
            name = entry.get("release") or ""
            known = releases.setdefault(
                name,
                {"release": name, "on": [], "running_on": [], "migrated": False, "irreversible": [], "entries": {}},
            )
            known["entries"][row["host"]] = entry
            known["migrated"] = known["migrated"] or bool(entry.get("migrated"))
            known["irreversible"] += [i for i in entry.get("irreversible") or [] if i not in known["irreversible"]]
        for name in row["good"]:
            # Older than all that a host tells of its history.
            if name in releases:
                releases[name]["on"].append(row["host"])
        if row["release"] in releases:
            releases[row["release"]]["running_on"].append(row["host"])
    rows = []
    for release in sorted(releases.values(), key=lambda r: release_number(r["release"]), reverse=True):
        entry = next(iter(release.pop("entries").values()))
        rows.append(
            {
                **release,
                "result": entry.get("result"),
                "kind": entry.get("kind"),
                "commit": entry.get("commit", ""),
                "who": entry.get("who", ""),
                "finished": entry.get("finished"),
                "from": entry.get("from"),
                "seconds": entry.get("seconds", {}),
            }
        )
    return {
        "command": "releases",
        "environment": target.environment,
        "app": target.app,
        "releases": rows,
        "hosts": [row["host"] for row in status["hosts"]],
        "events": status["events"],
        "errors": {row["host"]: row["error"] for row in status["hosts"] if row["error"]},
    }


def release_line(row: Mapping[str, Any]) -> str:
    """Return one line on a row of `collect_releases`."""
    return " ".join(filter(None, (_presence(row), str(row["result"] or ""), row["commit"][:7], _finished(row))))


def _presence(row: Mapping[str, Any]) -> str:
    return "running" if row["running_on"] else "kept" if row["on"] else "gone"


def _finished(row: Mapping[str, Any]) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(row["finished"])) if row["finished"] else ""


def show_releases(document: dict[str, Any], printer: Printer) -> None:
    """Print the releases as a table, newest first."""
    rows = []
    for entry in document["releases"]:
        irreversible = ", ".join(entry["irreversible"])
        migration = f"irreversible: {irreversible}" if irreversible else "yes" if entry["migrated"] else "-"
        commit = (entry["commit"] or "-")[:7]
        when = _finished(entry) or "-"
        rows.append([entry["release"], _presence(entry), entry["result"], commit, when, entry["who"], migration])
    title = f"{document['app']} on {document['environment']}"
    printer.table(title, ["release", "on hosts", "result", "commit", "finished", "who", "migration"], rows)
    show_events(document["events"], len(document["hosts"]), printer)
    show_errors(document["errors"], printer)


def show_errors(errors: Mapping[str, str], printer: Printer) -> None:
    """Say which hosts could not be asked, and why."""
    for host, error in errors.items():
        printer.warn(error if error.startswith(host) else f"{host}: {error}")


def stream_logs(target: Target, root: Path, printer: Printer, *, lines: int, follow: bool, process: str = "") -> None:
    """Print the last lines of the service, or of a background process; with ``follow`` go on until interrupted."""

    def read(session: Session) -> None:
        facts = session.open()
        service = service_for(target, facts)
        if service is None:
            raise HandrailError("this project declares no service, so there are no logs")
        answer = session.call(
            "logs",
            service=service,
            lines=lines,
            follow=follow,
            process=process,
            on_event=lambda event: printer.output(event["line"], host=session.host),
        )
        for line in answer["lines"]:
            printer.output(line, host=session.host)

    with Fleet(target, root, hosts_of(target, process)) as fleet:
        _, failures = fleet.each("", read)
    if failures:
        raise next(iter(failures.values()))
