"""Whether a deploy can leave a host broken: random faults at random moments of real deploys, one after the other.

The hosts are two containers with systemd, sshd and Caddy. Each case draws one or two of them, a strategy, a fault and
the step of the journal at which it strikes, deploys with it, and then asks every host over HTTP, `inv status`, the
history and the lock; at last the next ordinary deploy must succeed. What counts as broken is in docs/reliability.md.

    .venv/bin/python scripts/bench/faults.py [--count 200] [--seed S] [--only N] [--fault WORDS]

Ends with 1 at the first broken host, and names the seed and number that repeat its case.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from handrail.testing.container import ContainerHost, engine
from handrail.testing.faults import CATALOGUE, CUTS, Fault, Outcome, Scene, cut_after, strike
from handrail.testing.faults.scene import SMALL_OPTIONS

STRATEGIES = ("restart", "rolling", "blue-green")
# Bytes that a client sends in one deploy of the tiny service, as a power of ten: no cut comes after that.
MOST_BYTES = 4.6


@dataclass(frozen=True)
class Case:
    """One draw; the same seed and number give the same."""

    number: int
    fault: Fault
    moment: str
    delay: float
    hosts: int
    which: int
    strategy: str

    def __str__(self) -> str:
        at = f" at {self.moment} + {self.delay * 1000:.0f} ms" if self.moment else ""
        of = f"host {self.which + 1} of {self.hosts}"
        return f"{self.number:>4}  {self.strategy:<10}  {of}  {self.fault.name}{at}"


def draw(seed: int, number: int, only: str) -> Case:
    dice = random.Random(f"{seed}-{number}")
    fixed = {cut_after(size).name for size in CUTS}
    faults = [fault for fault in CATALOGUE.values() if fault.name not in fixed]
    faults.append(replace(cut_after(int(10 ** dice.uniform(2, MOST_BYTES))), weight=12))
    faults = [fault for fault in faults if only in fault.name]
    fault = dice.choices(faults, [fault.weight for fault in faults])[0]
    strategy = dice.choice(STRATEGIES)
    moments = fault.moments
    if strategy == "blue-green" and "activated" in moments:
        moments = (*moments, "switching", "switched")
    hosts = dice.choice((1, 2))
    return Case(
        number=number,
        fault=fault,
        moment=dice.choice(moments) if moments else "",
        delay=dice.choice((0.0, round(dice.uniform(0, 0.2), 3))),
        hosts=hosts,
        which=dice.randrange(hosts),
        strategy=strategy,
    )


class Fleet:
    """The hosts, and one scene for each kind of environment, made when first drawn."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.hosts = [
            stack.enter_context(ContainerHost(folder / name, name=name, options=SMALL_OPTIONS))
            for name in ("host-a", "host-b")
        ]
        self.scenes: dict[tuple[int, str, bool], Scene] = {}
        self.made = 0

    def scene(self, case: Case) -> Scene:
        key = (case.hosts, case.strategy, case.fault.small)
        if key not in self.scenes:
            self.made += 1
            place, cache = self.folder / f"scene-{self.made}", self.folder / "wheels"
            cache.mkdir(exist_ok=True)
            hosts = self.hosts[: case.hosts]
            scene = Scene(place, f"shop{self.made}", hosts, strategy=case.strategy, small=case.fault.small, cache=cache)
            self.scenes[key] = self.stack.enter_context(scene)
            broken = scene.deploy_good()
            if broken:
                sys.exit("\n".join(broken))
        return self.scenes[key]

    def forget_small(self) -> None:
        """A reboot empties the file systems that are memory."""
        self.scenes = {key: scene for key, scene in self.scenes.items() if not key[2]}


def family(fault: Fault) -> str:
    return "connection cut after N bytes" if "bytes" in fault.name else fault.name


def show(counts: dict[str, Counter[str]], seconds: float) -> None:
    print(f"\n{'fault':<36}{'count':>7}{'new':>6}{'old':>6}{'mixed':>7}{'too late':>10}{'broken hosts':>14}")
    for name in sorted(counts, key=lambda name: (next(f.row for f in every_fault() if family(f) == name), name)):
        row = counts[name]
        print(
            f"{name:<36}{row['count']:>7}{row['new']:>6}{row['old']:>6}{row['mixed']:>7}{row['late']:>10}{row['broken']:>14}"
        )
    total = sum((row for row in counts.values()), Counter())
    print(
        f"{'all':<36}{total['count']:>7}{total['new']:>6}{total['old']:>6}{total['mixed']:>7}{total['late']:>10}"
        f"{total['broken']:>14}\n{seconds / max(1, total['count']):.1f} s a case"
    )


def every_fault() -> list[Fault]:
    return list(CATALOGUE.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="N", help="run case N alone")
    parser.add_argument("--fault", default="", metavar="WORDS", help="draw only faults whose names hold these words")
    parser.add_argument("--keep-going", action="store_true", help="go on after a broken host, to see all of them")
    options = parser.parse_args()
    numbers = [options.only] if options.only else range(1, options.count + 1)
    counts: dict[str, Counter[str]] = {}
    bad: list[str] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        stack.enter_context(engine())
        fleet = Fleet(Path(name), stack)
        for number in numbers:
            case = draw(options.seed, number, options.fault)
            scene = fleet.scene(case)
            began = time.monotonic()
            outcome: Outcome = strike(scene, case.fault, case.moment, which=case.which, delay=case.delay)
            row = counts.setdefault(family(case.fault), Counter())
            row.update({"count": 1, outcome.word: 1, "late": not outcome.reached, "broken": len(outcome.broken)})
            word = "BROKEN" if outcome.broken else outcome.word
            print(f"{case}  → {word} (exit {outcome.returncode}, {time.monotonic() - began:.1f} s)", flush=True)
            if outcome.broken:
                bad.append("\n".join([f"\n{case}", *outcome.broken, str(outcome.client), repeat(options, number)]))
                if not options.keep_going:
                    break
                print(bad[-1], flush=True)
            if "rebooted" in case.fault.name:
                fleet.forget_small()
        show(counts, time.monotonic() - started)
    if bad:
        sys.exit("\n".join(bad))


def repeat(options: argparse.Namespace, number: int) -> str:
    words = f" --fault {options.fault!r}" if options.fault else ""
    return f"repeat it: scripts/bench/faults.py --seed {options.seed} --only {number}{words}"


if __name__ == "__main__":
    main()
