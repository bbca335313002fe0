"""A set-up in words, from its document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handrail.ui import Printer


def show(document: Mapping[str, Any], printer: Printer, again: str) -> None:
    """Print what would be done or was done, hosts with the same steps together.

    Args:
        again: the command line that does what a plan shows.
    """
    env = document["environment"]
    if document["plan"]:
        printer.info(f"Plan: prepare {'1 host' if len(document['hosts']) == 1 else 'the hosts'} of {env}")
    for rows in _alike(document["hosts"]):
        first = rows[0]
        names = ", ".join(row["host"] for row in rows)
        printer.info(f"\n{names}  ({first['system']}, as {first['login']})")
        for step in first["steps"]:
            mark = {"ok": "ok: ", "done": "done: ", "todo": ""}[step["state"]]
            printer.info(f"  {step['step']:<9} {mark}{step['text']}")
        if first["state"] == "ready":
            printer.info("  nothing to do")
        if first["state"] == "failed":
            printer.info(f"  failed    {first['error']}")
            continue
        for hint in first["hints"]:
            printer.info(f"  hint      {hint}")
    printer.info("")
    states = {row["state"] for row in document["hosts"]}
    if "failed" in states:
        return
    if document["plan"] and "planned" in states:
        printer.info(f"Nothing was changed. To do it: {again}")
    elif states == {"ready"}:
        printer.success("nothing to do: every host is ready")
        printer.info(f"next: {document['next']}")
    else:
        count = sum(row["state"] == "done" for row in document["hosts"])
        total = len(document["hosts"])
        printer.success(
            f"{count} of {total} hosts prepared" if total > 1 else f"{document['hosts'][0]['host']} is ready"
        )
        printer.info(f"next: {document['next']}")


def _alike(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        facts = [row[key] for key in ("login", "system", "state", "hints", "error")]
        key = repr([*facts, [(step["step"], step["state"], step["text"]) for step in row["steps"]]])
        groups.setdefault(key, []).append(row)
    return list(groups.values())
