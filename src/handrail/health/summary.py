"""The health of all hosts in short, from the document of `handrail.deploy.status.collect_status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = ["host", "release", "health", "seconds"]


def health_document(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``inv health --json`` prints.

    ``ok`` is true when every host was reached and each serves its one committed release in good health. A
    host's ``seconds`` are those of its health answer, None where there was none (no health path, or no
    process).
    """
    hosts = [_host(row) for row in status["hosts"]]
    return {
        "command": "health",
        "environment": status["environment"],
        "app": status["app"],
        "state": status["state"],
        "ok": status["state"] == "ok" and all(host["ok"] for host in hosts),
        "hosts": hosts,
    }


def rows(document: Mapping[str, Any]) -> list[list[str]]:
    """Return one row a host for `COLUMNS`."""
    return [
        [
            host["host"],
            host["release"] or "-",
            "healthy" if host["ok"] else host["why"],
            "-" if host["seconds"] is None else f"{host['seconds']:.3f}",
        ]
        for host in document["hosts"]
    ]


def verdict(document: Mapping[str, Any]) -> str:
    """Return one sentence: how many hosts are healthy, and what is wrong with the fleet otherwise."""
    hosts = document["hosts"]
    healthy = sum(host["ok"] for host in hosts)
    counted = f"{healthy} of {len(hosts)} hosts healthy" if len(hosts) != 1 else hosts[0]["why"] or "healthy"
    fleet_wide = {
        "mixed": "they do not serve the same release",
        "empty": "nothing is deployed",
        "uncommitted": "a release is not committed yet",
    }
    remark = fleet_wide.get(document["state"], "")
    return f"{counted}; {remark}" if remark and remark not in counted else counted


def _host(row: Mapping[str, Any]) -> dict[str, Any]:
    health = row["health"] or {}
    is_ok = bool(row["ok"]) and not row["error"]
    return {
        "host": row["host"],
        "release": row["release"],
        "running_release": row["running_release"],
        "ok": is_ok,
        "why": "" if is_ok else _why(row),
        "status": health.get("status") or None,
        "seconds": health.get("seconds"),
    }


def _why(row: Mapping[str, Any]) -> str:
    if row["error"] or row["why"]:
        return str(row["error"] or row["why"])
    if not row["release"]:
        return "nothing is deployed"
    if row["running_release"] not in (None, row["release"]):
        return f"release {row['running_release']} still runs"
    return "the release is not committed yet"
