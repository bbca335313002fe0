"""What else was done to an environment, beside its deploys and rollbacks: maintenance, scale, hosts that caught up.

Each host keeps what happened to it in its ``history.jsonl``. An event is no release: nothing returns to it, and `keep`
does not count it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handrail.deploy.who import who

if TYPE_CHECKING:
    from handrail.ui import Printer

SHOWN = 10


def by() -> dict[str, str]:
    """Return who does it, with a name for this run by which the hosts' lines are found to be of one event."""
    return {"who": who(), "run": uuid.uuid4().hex[:12]}


def merged_events(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the hosts' events, newest first, what one run did on several hosts as one with its ``hosts``.

    A run that had to be taken back did two things, and both are shown.
    """
    merged: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        for event in row["events"]:
            key = (str(event.get("run", "")), str(event["event"]), str(event.get("what", "")))
            facts = {name: event.get(name, "") for name in ("event", "what", "who", "serves", "run")}
            known = merged.setdefault(key, {**facts, "finished": event.get("finished") or 0.0, "hosts": []})
            known["finished"] = max(known["finished"], event.get("finished") or 0.0)
            if row["host"] not in known["hosts"]:
                known["hosts"].append(row["host"])
    return sorted(merged.values(), key=lambda event: float(event["finished"]), reverse=True)


def show_events(events: Sequence[Mapping[str, Any]], hosts: int, printer: Printer) -> None:
    """Print the newest events as a table; nothing where there are none.

    Args:
        hosts: how many there are, so that ``all`` may stand for their names.
    """
    rows = []
    for event in events[:SHOWN]:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(event["finished"]))
        where = "all" if len(event["hosts"]) == hosts else ", ".join(event["hosts"])
        rows.append([event["event"], event["what"], where, when, event["who"]])
    if rows:
        printer.table("events", ["event", "what", "hosts", "when", "who"], rows)
