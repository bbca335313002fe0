"""The time in which a canary has a part of the traffic: split it, measure, ask `handrail.deploy.canary` what to do.

Meanwhile the leases run as in any activated deploy: if this process dies, every host returns all traffic to the
release that served before.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handrail.deploy.canary import Verdict, judge, line, sample
from handrail.deploy.returning import insist
from handrail.deploy.rollout import looks, step_name
from handrail.errors import TaskFailedError

if TYPE_CHECKING:
    from handrail.config.schema import Canary
    from handrail.deploy.running import Run
    from handrail.deploy.session import Session

LOOK_EVERY = 1.0
SAY_EVERY = 30.0


def bake(run: Run) -> None:
    """Take the canary through its steps; when this returns, all traffic may move.

    A host that served nothing before has nothing to compare with, and behind the maintenance page nobody would meet a
    canary; such hosts take no part.

    Raises:
        TaskFailedError: the canary is to be returned; says why, and ``lines`` show the numbers.
        HandrailError: a host failed, or its canary is not alive.
    """
    rules = run.job.target.canary
    hosts = [host for host in run.fleet.hosts if host in run.moving and run.previous.get(host)]
    if not hosts:
        run.job.printer.info("nothing served before: there is nothing that a canary could be compared with")
        return
    covered = [host for host in hosts if host in run.covered]
    if covered:
        run.job.printer.info(f"visitors of {', '.join(covered)} get the maintenance page: no canary is baked there")
    hosts = [host for host in hosts if host not in covered]
    if not hosts:
        return
    for step in rules.steps:
        shares = shares_of(step, hosts)
        taking = [host for host in hosts if shares[host]]
        if len(taking) == len(hosts) and shares[hosts[0]] == 100:
            run.job.printer.info(f"step {step}: no host would be left to compare with; it is passed over")
            continue
        _split(run, shares)
        started = time.monotonic()
        if run.fleet.board:
            for host in hosts:
                run.fleet.board.start(host, "bake")
        try:
            verdict = _watch(run, step, rules, hosts, started)
        finally:
            took = max(run.fleet.note_time(host, "bake", started) for host in hosts)
        for host in hosts:
            if run.fleet.board:
                if verdict.action == "return":
                    run.fleet.board.fail(host, "bake", "the canary is returned")
                else:
                    run.fleet.board.finish(host, "bake", took)
        if verdict.action == "return":
            message = f"the canary ({step_name(step)}) is returned: {verdict.why}"
            raise TaskFailedError(message, step="bake", lines=looks(run.canary))


def _split(run: Run, shares: dict[str, int]) -> None:
    run.step("", lambda session: insist(run, session, "split", share=shares[session.host]), list(shares))


def shares_of(step: int | str, hosts: Sequence[str]) -> dict[str, int]:
    """Return the per cents of its traffic that each host gives to the canary in this step."""
    if isinstance(step, int):
        return {host: 100 if number < step else 0 for number, host in enumerate(hosts)}
    return dict.fromkeys(hosts, int(step.rstrip("%")))


def _watch(run: Run, step: int | str, rules: Canary, hosts: Sequence[str], started: float) -> Verdict:
    """Measure until there is a verdict; each look is in `Run.canary`, the last one stays."""
    said = started
    run.canary.append({"step": step})

    def measure(session: Session) -> dict[str, Any]:
        return insist(run, session, "measure")

    while True:
        # Not a sleep: Ctrl-C is answered at once, and the leases are renewed meanwhile.
        threading.Event().wait(LOOK_EVERY)
        answers = run.step("", measure, hosts)
        seconds = time.monotonic() - started
        canary = sample(answer["canary"] for answer in answers.values())
        rest = sample(answer["rest"] for answer in answers.values())
        verdict = judge(canary, rest, rules, seconds)
        run.canary[-1] = {
            "step": step,
            "seconds": round(seconds, 1),
            "canary": canary.facts(rules),
            "rest": rest.facts(rules),
            "verdict": verdict.action,
            "why": verdict.why,
        }
        _show(run, answers, rules, step_name(step))
        if verdict.action != "bake":
            run.job.printer.info(f"canary {step_name(step)}: {verdict.action}: {verdict.why}")
            return verdict
        if time.monotonic() - said > SAY_EVERY:
            said = time.monotonic()
            run.job.printer.info(f"{line('canary', canary, rules)} | {line('rest', rest, rules)} | {verdict.why}")


def _show(run: Run, answers: dict[str, dict[str, Any]], rules: Canary, step: str) -> None:
    if run.fleet.board is None:
        return
    for host, answer in answers.items():
        sides = [line(name, sample([answer[name]]), rules) for name in ("canary", "rest")]
        run.fleet.board.live(host, f"{step}: {' | '.join(' '.join(side.split()) for side in sides)}")
