"""One deploy's timeline: what each host did when, from the lines that the hosts' histories hold of it.

A line keeps ``starts`` and ``seconds`` by phase and ``switched``, all in seconds since the deploy's start and all by
the deploying machine's clock, because hosts' clocks differ. A host's switch is when its answer came, less the time
since the switch that the host measured; the answer's way is in it, so two hosts compare up to half the difference of
their round-trip times. Lines of versions that kept no ``starts`` show their phases one after the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.errors import TaskFailedError, UsageError, beside, did_you_mean

if TYPE_CHECKING:
    from handrail.config.target import Target
    from handrail.ui import Printer
    from handrail.ui.gantt import Chart

PHASES = (
    "connect", "preflight", "lock", "upload", "prepare", "migrate", "activate", "verify", "hold", "bake", "switch",
    "commit", "return",
)  # fmt: skip
CLOCK = "the deploying machine's: hosts' clocks differ"
_SHOWN = 20
_NONE_YET = "; there is none yet"


def skew_ms(moments: Collection[float]) -> float | None:
    """Return the milliseconds between the first and the last of some moments in seconds; None for fewer than two."""
    return round((max(moments) - min(moments)) * 1000, 1) if len(moments) > 1 else None


def collect_timeline(target: Target, root: Path, wanted: str) -> dict[str, Any]:
    """Ask every host, and return the timeline of one release's newest run as a document.

    Args:
        wanted: a release id, its number, or the id of a run (``run`` in the document).

    Raises:
        UsageError: no history names it.
        TaskFailedError: hosts are away, and of the others none does.
    """
    from handrail.deploy.status import collect_status, demand_an_answer

    status = collect_status(target, root)
    demand_an_answer(status)
    histories = {row["host"]: row["history"] for row in status["hosts"]}
    errors = {row["host"]: row["error"] for row in status["hosts"] if row["error"]}
    try:
        timeline = make_timeline(histories, wanted)
    except UsageError as error:
        if not errors:
            raise
        raise TaskFailedError(
            f"{error.message.removesuffix(_NONE_YET)}; {', '.join(errors)} could not be asked",
            host_states={host: beside(host, text) for host, text in errors.items()},
        ) from None
    return {
        "command": "timeline",
        "environment": target.environment,
        "app": target.app,
        **timeline,
        "errors": errors,
    }


def make_timeline(histories: Mapping[str, Sequence[Mapping[str, Any]]], wanted: str) -> dict[str, Any]:
    """Return the document's part that follows from the hosts' histories."""
    runs = _runs(histories, wanted)
    run = runs[-1]
    entries = {
        host: [entry for entry in history if entry.get("deploy") == run][-1]
        for host, history in histories.items()
        if any(entry.get("deploy") == run for entry in history)
    }
    first = next(iter(entries.values()))
    hosts = [_host(host, entries.get(host)) for host in histories]
    told = [host for host in hosts if host["phases"]]
    switched = {host["host"]: host["switched"] for host in told if host["switched"] is not None}
    return {
        "release": first["release"],
        "run": run,
        "other_runs": [other for other in runs if other != run],
        "kind": first.get("kind", "deploy"),
        "result": _result(entries.values()),
        "who": first.get("who", ""),
        "commit": first.get("commit", ""),
        "started": first.get("started"),
        "seconds": round(max((host["ended"] for host in told), default=0.0), 3),
        "clock": CLOCK,
        "hosts": hosts,
        "phases": _phases(told),
        "slowest": _slowest(told),
        "switch": {
            "skew_ms": skew_ms(switched.values()),
            "first": min(switched, key=lambda host: switched[host], default=None),
            "last": max(switched, key=lambda host: switched[host], default=None),
        },
    }


def _runs(histories: Mapping[str, Sequence[Mapping[str, Any]]], wanted: str) -> list[str]:
    """Return the ids of the runs that brought the wanted release, oldest first."""
    lines = [entry for history in histories.values() for entry in history if entry.get("deploy")]
    finished: dict[str, float] = {}
    for entry in lines:
        names = (str(entry.get("release", "")), str(entry.get("release", "")).split("-")[0], entry["deploy"])
        if wanted in names:
            run = str(entry["deploy"])
            finished[run] = max(finished.get(run, 0.0), float(entry.get("finished") or 0.0))
    if not finished:
        known = list(dict.fromkeys(str(entry.get("release", "")) for entry in reversed(lines)))
        hint = did_you_mean(wanted, known[:20]) or _NONE_YET
        raise UsageError(f"--timeline: no host remembers a release {wanted!r}{hint}")
    return sorted(finished, key=lambda run: finished[run])


def _result(entries: Iterable[Mapping[str, Any]]) -> str:
    results = {str(entry.get("result")) for entry in entries}
    return results.pop() if len(results) == 1 else "mixed"


def _host(host: str, entry: Mapping[str, Any] | None) -> dict[str, Any]:
    if entry is None:
        return {"host": host, "result": "no record", "phases": [], "switched": None, "committed": None, "ended": 0.0}
    seconds, starts = entry.get("seconds") or {}, entry.get("starts") or {}
    phases, at = [], 0.0
    for phase in sorted(seconds, key=lambda name: PHASES.index(name) if name in PHASES else len(PHASES)):
        at = float(starts.get(phase, at))
        phases.append({"phase": phase, "start": round(at, 3), "seconds": float(seconds[phase])})
        at += float(seconds[phase])
    ends = {phase["phase"]: round(phase["start"] + phase["seconds"], 3) for phase in phases}
    good = entry.get("result") == "good"
    return {
        "host": host,
        "result": entry.get("result"),
        "reason": entry.get("reason", ""),
        "failed": entry.get("failed", ""),
        "phases": phases,
        "is_exact": bool(starts),
        "switched": entry.get("switched"),
        "committed": ends.get("commit") if good and starts else None,
        "busy": round(sum(phase["seconds"] for phase in phases), 3),
        "ended": max(ends.values(), default=0.0),
    }


def _phases(hosts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    took: dict[str, dict[str, float]] = {}
    for host in hosts:
        for phase in host["phases"]:
            took.setdefault(phase["phase"], {})[host["host"]] = phase["seconds"]
    return [
        {
            "phase": name,
            "median": _median(list(took[name].values())),
            "longest": max(took[name].values()),
            "slowest_host": max(took[name], key=lambda host: took[name][host]),
        }
        for name in sorted(took, key=lambda name: PHASES.index(name) if name in PHASES else len(PHASES))
    ]


def _slowest(hosts: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not hosts:
        return None
    slowest = max(hosts, key=lambda host: host["busy"])
    longest = max(slowest["phases"], key=lambda phase: phase["seconds"])
    return {
        "host": slowest["host"],
        "busy": slowest["busy"],
        "median": _median([host["busy"] for host in hosts]),
        "phase": longest["phase"],
        "phase_seconds": longest["seconds"],
    }


def _median(values: Sequence[float]) -> float:
    import statistics

    return round(statistics.median(values), 3)


def sentences(document: Mapping[str, Any]) -> list[str]:
    """Return what the picture shows, in words."""
    lines = []
    slowest, switch = document["slowest"], document["switch"]
    if slowest and len(document["hosts"]) > 1:
        lines.append(
            f"slowest host: {slowest['host']}, {slowest['busy']:.2f} s of work (median {slowest['median']:.2f} s), "
            f"of it {slowest['phase']} {slowest['phase_seconds']:.2f} s"
        )
    if document["phases"]:
        longest = max(document["phases"], key=lambda phase: phase["longest"])
        on = f" on {longest['slowest_host']} (median {longest['median']:.2f} s)" if len(document["hosts"]) > 1 else ""
        lines.append(f"slowest phase: {longest['phase']}, {longest['longest']:.2f} s{on}")
    if switch["skew_ms"] is not None:
        lines.append(f"switch: {switch['skew_ms']:.0f} ms from {switch['first']} (first) to {switch['last']} (last)")
    elif switch["first"]:
        at = next(host["switched"] for host in document["hosts"] if host["host"] == switch["first"])
        lines.append(f"switch: after {at:.2f} s")
    return lines


def chart_of(document: Mapping[str, Any], most: int = 0) -> Chart:
    """Return the document as a chart; with ``most``, of so many hosts, those that took longest.

    A host that has no record keeps its row: its absence is part of what happened.
    """
    from handrail.ui.gantt import Chart, Lane, Span

    hosts = list(document["hosts"])
    if most and len(hosts) > most:
        urgent = sorted(hosts, key=lambda host: (host["result"] == "good", -host.get("busy", 0.0)))[:most]
        hosts = [host for host in hosts if host in urgent]
    lanes = [
        Lane(
            name=host["host"],
            spans=[
                Span(
                    phase["phase"],
                    phase["start"],
                    phase["seconds"],
                    is_failed=phase["phase"] == host.get("failed"),
                )
                for phase in host["phases"]
            ],
            mark=host["switched"],
            note="" if host["result"] == "good" else str(host["result"]),
        )
        for host in hosts
    ]
    title = f"{document['kind']} of {document['release']} to {document['environment']}"
    return Chart(
        title=f"{document['app']}: {title}, {document['result']} after {document['seconds']:.2f} s",
        phases=[(phase["phase"], phase["longest"]) for phase in document["phases"]],
        lanes=lanes,
        seconds=document["seconds"],
        mark_name="switch",
        left_out=len(document["hosts"]) - len(hosts),
    )


def show_timeline(document: Mapping[str, Any], printer: Printer) -> None:
    """Print a timeline as a chart and what it says in words."""
    import time

    from handrail.deploy.status import show_errors

    chart = chart_of(document, _SHOWN)
    if not document["phases"]:
        printer.info(chart.title.replace(" after 0.00 s", ""))
        printer.warn("no host kept times of it: its deploying machine died, or an old version did it")
    else:
        printer.chart(chart)
    for line in sentences(document):
        printer.info(line)
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(document["started"])) if document["started"] else "?"
    printer.info(f"seconds since {when} by {document['who'] or 'somebody'}; clock: {CLOCK}")
    if any(host["phases"] and not host["is_exact"] for host in document["hosts"]):
        printer.warn("an older version kept no start times: phases are shown one after the other")
    if document["other_runs"]:
        printer.info(f"earlier runs of it, each for --timeline: {', '.join(document['other_runs'])}")
    for host in document["hosts"]:
        if host.get("reason"):
            printer.info(f"{host['host']} {host['result']}: {host['reason']}")
    show_errors(document["errors"], printer)


def save_svg(document: Mapping[str, Any], path: Path) -> None:
    """Write the timeline as a picture.

    Raises:
        UsageError: the file cannot be written.
    """
    from handrail.ui.gantt_svg import svg

    try:
        path.write_text(svg(chart_of(document), [*sentences(document), f"clock: {CLOCK}"]), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--svg: {path}: {(error.strerror or str(error)).lower()}") from None
