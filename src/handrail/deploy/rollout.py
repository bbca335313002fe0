"""How a run changes its hosts, told before and after: batches, waits, a canary's steps and thresholds, the switch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handrail.config.batches import split

if TYPE_CHECKING:
    from handrail.config.schema import Canary
    from handrail.config.target import Target


MOST_BATCHES = 10


def rollout(
    target: Target,
    hosts: Sequence[str],
    serving: Collection[str],
    kind: str = "deploy",
    *,
    hold: bool = False,
    covered: Collection[str] = (),
) -> dict[str, Any]:
    """Return the roll-out as JSON documents show it.

    ``seconds`` are those that it waits and watches on purpose, ``at_most`` where a canary gets few requests; starting,
    checking and draining come on top.

    Args:
        serving: the hosts that serve something already; only they can have a canary.
        kind: of the run; only a ``deploy`` waits between batches and bakes.
        hold: it ends before the traffic moves.
        covered: the hosts whose visitors get the maintenance page, and so would meet no canary.
    """
    facts: dict[str, Any] = {"strategy": target.strategy, "seconds": 0.0, "at_most": 0.0}
    if target.strategy == "rolling":
        batches = split(hosts, target.batches)
        wait = target.batch_wait if kind == "deploy" else 0.0
        seconds = wait * (len(batches) - 1)
        facts.update(batches=batches, batch_wait=wait, max_failed=target.max_failed, seconds=seconds, at_most=seconds)
    if hold:
        return {**facts, "hold": True}
    if target.strategy in ("blue-green", "canary"):
        facts.update(watch=target.watch, drain=target.drain, seconds=target.watch, at_most=target.watch)
    if target.strategy == "canary":
        visited = [host for host in hosts if host in serving] if kind == "deploy" else []
        facts["covered"] = [host for host in visited if host in covered]
        baking = [host for host in visited if host not in covered]
        steps = [_step(step, baking, target.canary) for step in target.canary.steps if _is_baked(step, baking)]
        facts["steps"] = steps
        facts["thresholds"] = _thresholds(target.canary) if steps else {}
        facts["seconds"] += sum(step["bake"] for step in steps)
        facts["at_most"] += sum(step["bake_max"] for step in steps)
    return facts


def step_name(step: int | str) -> str:
    """Return a canary's step in words."""
    if isinstance(step, int):
        return "1 host" if step == 1 else f"{step} hosts"
    return f"{step.rstrip('%')} % of the traffic"


def sentences(facts: Mapping[str, Any]) -> list[str]:
    """Return a roll-out in words, one line a step; the first one names the strategy."""
    if facts["strategy"] == "rolling":
        return _rolling(facts)
    if facts["strategy"] == "restart":
        return ["restart: all hosts at once"]
    if facts.get("hold"):
        return [f"{facts['strategy']}: the new release is proved beside the old one, and held without traffic"]
    watched = f"watched for {facts['watch']:g} s; the old one drains for {facts['drain']:g} s at most"
    switch = f"then all traffic on all hosts at once, {watched}"
    if facts["strategy"] == "blue-green":
        return [f"blue-green: the new release is proved beside the old one, {switch}"]
    if not facts["steps"]:
        why = "visitors get the maintenance page" if facts["covered"] else "nothing to compare with"
        return [f"canary: {why}, so none is baked; {switch}"]
    lines = [f"canary: {_minutes(facts['seconds'])}, up to {_minutes(facts['at_most'])} with few requests"]
    for number, step in enumerate(facts["steps"], 1):
        where = ", ".join(step["hosts"]) if isinstance(step["step"], int) else "every host"
        bake = f"for {step['bake']:g} s, {step['bake_max']:g} s at most"
        lines.append(f"{number}. {step_name(step['step'])} ({where}) {bake}")
    if facts["covered"]:
        lines.append(f"none on {', '.join(facts['covered'])}, where visitors get the maintenance page")
    lines.append(f"{len(facts['steps']) + 1}. {switch}")
    return [*lines, f"returned at {_threshold_line(facts['thresholds'])}"]


def looks(canary: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what was measured in each step of a canary, a line for the step and one for each side."""
    rows = []
    for look in canary:
        if "canary" not in look:
            continue
        rows.append(f"{step_name(look['step'])}, {look['seconds']:.0f} s")
        for name in ("canary", "rest"):
            side = look[name]
            rows.append(
                f"  {name:<6}  {side['requests']:>7,} requests  {side['error_rate'] * 100:>5.1f} % errors  "
                f"p{side['percentile']:g} {side['latency'] * 1000:,.0f} ms"
            )
    return rows


def _is_baked(step: int | str, hosts: Sequence[str]) -> bool:
    return len(hosts) > step if isinstance(step, int) else bool(hosts)


def _step(step: int | str, hosts: Sequence[str], rules: Canary) -> dict[str, Any]:
    return {
        "step": step,
        "share": 100 if isinstance(step, int) else int(step.rstrip("%")),
        "hosts": list(hosts[:step]) if isinstance(step, int) else list(hosts),
        "bake": rules.bake,
        "bake_max": max(rules.bake, rules.bake_max),
    }


def _thresholds(rules: Canary) -> dict[str, Any]:
    names = (
        "min_requests", "on_silence", "max_error_rate", "max_error_increase", "latency_percentile", "max_latency_ratio",
        "latency_floor",
    )  # fmt: skip
    return {name: getattr(rules, name) for name in names}


def _threshold_line(rules: Mapping[str, Any]) -> str:
    slow = ""
    if rules["max_latency_ratio"]:
        slow = (
            f", or p{rules['latency_percentile']:g} above {rules['max_latency_ratio']:g} times the rest's "
            f"and {rules['latency_floor'] * 1000:g} ms"
        )
    return (
        f"errors above {rules['max_error_rate'] * 100:g} %, or {rules['max_error_increase'] * 100:g} points above the "
        f"rest's{slow}; fewer than {rules['min_requests']:,} requests: {rules['on_silence']}"
    )


def _rolling(facts: Mapping[str, Any]) -> list[str]:
    batches = facts["batches"]
    waits = f", {facts['batch_wait']:g} s between two" if facts["batch_wait"] and len(batches) > 1 else ""
    total = f" ({_minutes(facts['seconds'])} of waiting)" if facts["seconds"] else ""
    may = "no host may fail" if not facts["max_failed"] else f"{facts['max_failed']} may fail and be left out"
    lines = [f"rolling: {len(batches)} batch{'es' if len(batches) != 1 else ''}{waits}{total}; {may}"]
    for number, batch in enumerate(batches[:MOST_BATCHES], 1):
        shown = ", ".join(batch[:5]) + (f" and {len(batch) - 5} more" if len(batch) > 5 else "")
        lines.append(f"{number}. {len(batch)} host{'s' if len(batch) != 1 else ''}: {shown}")
    if len(batches) > MOST_BATCHES:
        lines.append(f"and {len(batches) - MOST_BATCHES} more, the last of {len(batches[-1])}")
    return lines


def _minutes(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:.1f} min".replace(".0 min", " min")
