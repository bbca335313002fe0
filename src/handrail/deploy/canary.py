"""Whether a canary is promoted or returned: measurements and thresholds in, a verdict with its sentence out.

Nothing here asks a host or a clock. Measurements are counts by the hosts' proxies (`handrail.agent.measuring`), so
those of many hosts add up; request times are counted in steps of 5 %, and a percentile is as exact as that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from handrail.config.schema import Canary

_STEP = 1.05


@dataclass(frozen=True)
class Sample:
    """What one side answered: requests, those with a status of 500 or more, and their times by step of 5 %."""

    requests: int = 0
    errors: int = 0
    times: Mapping[int, int] = field(default_factory=dict)

    @property
    def error_rate(self) -> float:
        """The share of requests that failed, 0 to 1."""
        return self.errors / self.requests if self.requests else 0.0

    def percentile(self, per_cent: float) -> float:
        """Return the seconds within which this share of the requests was answered; 0 without any."""
        wanted = self.requests * per_cent / 100
        seen = 0
        for step in sorted(self.times):
            seen += self.times[step]
            if seen >= wanted:
                return float(_STEP ** (step + 0.5)) / 1000
        return 0.0

    def facts(self, rules: Canary) -> dict[str, Any]:
        """Return the sample as it stands in documents and in the history."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "error_rate": round(self.error_rate, 5),
            "percentile": rules.latency_percentile,
            "latency": round(self.percentile(rules.latency_percentile), 5),
        }


@dataclass(frozen=True)
class Verdict:
    """``bake`` on, ``promote`` or ``return``; and why."""

    action: Literal["bake", "promote", "return"]
    why: str


def sample(facts: Iterable[Mapping[str, Any]]) -> Sample:
    """Add up what several hosts measured."""
    requests = errors = 0
    times: dict[int, int] = {}
    for fact in facts:
        requests += fact["requests"]
        errors += fact["errors"]
        for step, count in fact["times"].items():
            times[int(step)] = times.get(int(step), 0) + count
    return Sample(requests, errors, times)


def judge(canary: Sample, rest: Sample, rules: Canary, seconds: float) -> Verdict:
    """Return what is to be done with a canary that has baked for ``seconds``.

    What is too bad is returned at once; what is good is promoted when ``bake`` is over. The comparison with the rest
    needs ``min_requests`` of the rest, too; without them only the absolute limit counts.
    """
    if canary.requests < rules.min_requests:
        most = rules.max_error_rate * rules.min_requests
        if canary.errors > most:
            return Verdict(
                "return",
                f"{canary.errors:,} of its {canary.requests:,} requests failed; of {rules.min_requests:,} at most "
                f"{_per_cent(rules.max_error_rate)} may",
            )
        few = f"{canary.requests:,} of the {rules.min_requests:,} requests that it is judged by"
        if seconds < rules.bake_max:
            return Verdict("bake", few)
        return Verdict(rules.on_silence, f'only {few} in {seconds:.0f} s, and on_silence = "{rules.on_silence}"')
    comparable = rest.requests >= rules.min_requests
    if problem := _errors(canary, rest, rules, comparable) or _latency(canary, rest, rules, comparable):
        return Verdict("return", problem)
    if seconds < rules.bake:
        return Verdict("bake", f"{seconds:.0f} of {rules.bake:.0f} s")
    compared = "" if comparable else f"; the rest answered too few ({rest.requests:,}) to compare with"
    return Verdict(
        "promote",
        f"error rate {_per_cent(canary.error_rate)} of {canary.requests:,} requests, the rest "
        f"{_per_cent(rest.error_rate)} of {rest.requests:,}{compared}",
    )


def line(name: str, measured: Sample, rules: Canary) -> str:
    """Return one side's numbers as a line of a table."""
    time = f"{measured.percentile(rules.latency_percentile) * 1000:,.0f} ms" if measured.requests else "-"
    return (
        f"{name:<6}  {measured.requests:>7,} requests  {_per_cent(measured.error_rate):>6} errors  "
        f"p{rules.latency_percentile:g} {time}"
    )


def _errors(canary: Sample, rest: Sample, rules: Canary, comparable: bool) -> str:
    found = (
        f"error rate {_per_cent(canary.error_rate)} of {canary.requests:,} requests, the rest "
        f"{_per_cent(rest.error_rate)} of {rest.requests:,}"
    )
    if canary.error_rate > rules.max_error_rate:
        return f"{found}; at most {_per_cent(rules.max_error_rate)} is allowed"
    if comparable and canary.error_rate - rest.error_rate > rules.max_error_increase:
        return f"{found}; at most {_per_cent(rules.max_error_increase)} more is allowed"
    return ""


def _latency(canary: Sample, rest: Sample, rules: Canary, comparable: bool) -> str:
    its, theirs = canary.percentile(rules.latency_percentile), rest.percentile(rules.latency_percentile)
    if not (rules.max_latency_ratio and comparable and its > rules.latency_floor):
        return ""
    if its <= theirs * rules.max_latency_ratio:
        return ""
    return (
        f"p{rules.latency_percentile:g} {its * 1000:,.0f} ms of {canary.requests:,} requests, the rest "
        f"{theirs * 1000:,.0f} ms of {rest.requests:,}; at most {rules.max_latency_ratio:g} times as much is allowed"
    )


def _per_cent(share: float) -> str:
    return f"{share * 100:.1f} %".replace(".0 %", " %")
