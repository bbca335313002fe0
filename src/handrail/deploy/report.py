"""What a deploy says after itself in GitHub Actions: a step summary in Markdown, from the result document.

The document is the one that ``--json`` prints. Every part is optional, because a deploy may end before it
knew its release or its hosts, and its summary must still be written then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handrail.deploy.rollout import looks, sentences, step_name

if TYPE_CHECKING:
    from handrail.ui import Printer

_GOOD = "good"
_FAILED = "failed"


def github_summary(document: Mapping[str, Any]) -> str:
    """Return Markdown: one headline, the facts, and one table row a host with its seconds by phase.

    Keys that are used: ``command``, ``environment``, ``app``, ``result`` (``good`` or how it ended),
    ``error`` (``{"message"}`` or None), ``release``, ``previous``, ``commit``, ``bundle``, ``url``,
    ``seconds``, ``undo``, ``rollout``, ``canary`` (see `handrail.deploy.rollout`), ``hosts``: a list of
    ``{"host", "to", "state", "seconds": {phase: seconds}}``.
    """
    parts = [_headline(document)]
    error = document.get("error") or {}
    if error.get("message"):
        parts.append(f"> {_inline(error['message'])}")
    facts = _facts(document)
    if facts:
        parts.append("\n".join(f"- **{name}:** {value}" for name, value in facts))
    hosts = [host for host in document.get("hosts") or [] if isinstance(host, Mapping)]
    if hosts:
        parts.append(_table(hosts))
    if document.get("rollout"):
        lines = sentences(document["rollout"])
        parts.append("\n".join(f"{'  ' if line[0].isdigit() else '- '}{_inline(line)}" for line in lines))
    if document.get("canary"):
        parts.append(_canary(document["canary"]))
    if document.get("undo"):
        parts.append(f"To undo it: {_code(document['undo'])}")
    return "\n\n".join(parts) + "\n"


def report_lines(document: Mapping[str, Any]) -> list[str]:
    """Return how the release came to all hosts, where that was more than one step: batches, or what a canary showed."""
    facts = document["rollout"]
    if document["canary"]:
        return looks(document["canary"])
    return sentences(facts)[:1] if facts["strategy"] == "rolling" and len(facts["batches"]) > 1 else []


def annotate_failure(document: Mapping[str, Any], printer: Printer) -> None:
    """Write the failed run's summary, and one annotation for each host that has something to say about it.

    The failure itself is annotated with its card, as all are. Outside GitHub Actions the printer does nothing here.
    """
    for host in document.get("hosts") or []:
        if host.get("state"):
            printer.annotate("notice", f"{host['host']}: {host['state']}")
    printer.summary(github_summary(document))


def _headline(document: Mapping[str, Any]) -> str:
    result = str(document.get("result") or _FAILED)
    mark = "✅" if result in (_GOOD, "held") else "❌"
    command = _inline(document.get("command") or "deploy")
    what = f" of {_inline(document['app'])}" if document.get("app") else ""
    where = f" to {_inline(document['environment'])}" if document.get("environment") else ""
    how = "" if result == _GOOD else f": {_inline(result)}"
    return f"### {mark} {command}{what}{where}{how}"


def _facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = []
    if document.get("release"):
        before = f" (before: {_code(document['previous'])})" if document.get("previous") else ""
        facts.append(("Release", _code(document["release"]) + before))
    if document.get("commit"):
        facts.append(("Commit", _code(str(document["commit"])[:12])))
    if document.get("bundle"):
        facts.append(("Bundle", _code(str(document["bundle"])[:12])))
    if document.get("url"):
        facts.append(("Address", _inline(document["url"])))
    if isinstance(document.get("seconds"), (int, float)):
        facts.append(("Time", f"{document['seconds']:.1f} s"))
    return facts


def _table(hosts: Sequence[Mapping[str, Any]]) -> str:
    phases = list(dict.fromkeys(name for host in hosts for name in host.get("seconds") or {}))
    has_states = any(host.get("state") for host in hosts)
    header = ["Host", "Serves", *(["State"] if has_states else []), *phases]
    rows = [header, ["---" if name not in phases else "---:" for name in header]]
    for host in hosts:
        seconds = host.get("seconds") or {}
        row = [_inline(host.get("host", "")), _inline(host.get("to") or "-")]
        row += [_inline(host.get("state") or "")] if has_states else []
        row += [f"{seconds[name]:.1f} s" if name in seconds else "" for name in phases]
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _canary(looks: Sequence[Mapping[str, Any]]) -> str:
    rows = [["Canary", "Seconds", "Side", "Requests", "Errors", "Latency", "Verdict"]]
    rows.append(["---", "---:", "---", "---:", "---:", "---:", "---"])
    for look in looks:
        for side in (name for name in ("canary", "rest") if name in look):
            facts = look[side]
            said = [_inline(f"{look['verdict']}: {look['why']}")] if side == "canary" else [""]
            step = [step_name(look["step"]), f"{look['seconds']:.0f}"] if side == "canary" else ["", ""]
            errors = f"{facts['error_rate'] * 100:.1f} %"
            latency = f"p{facts['percentile']:g} {facts['latency'] * 1000:,.0f} ms"
            rows.append([*step, side, f"{facts['requests']:,}", errors, latency, *said])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _inline(value: object) -> str:
    """Return text for one line of Markdown in which nothing is markup: it may come from a host's output."""
    text = " ".join(str(value).split())
    for character in "\\`*_[]<>|#":
        text = text.replace(character, f"\\{character}" if character not in "<>" else f"&#{ord(character)};")
    return text


def _code(value: object) -> str:
    return f"`{' '.join(str(value).split()).replace('`', chr(39))}`"
