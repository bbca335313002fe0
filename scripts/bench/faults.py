"""Whether anything can leave a host broken: random faults at random moments of real deploys and other commands.

The hosts are containers with systemd, sshd and Caddy, two for each lane. Each case draws a command (deploy, rollback,
promotion, canary, scale, maintenance), one or two hosts, a strategy, a fault and the step at which it strikes, runs the
command with it, and then asks every host over HTTP, `inv status`, the history and the lock; at last the next ordinary
deploy must succeed. What counts as broken is in docs/reliability.md.

    .venv/bin/python scripts/bench/faults.py [--count 200] [--seed S] [--jobs N] [--only N] [--command C] [--fault F]

The cases come from the seed alone, and each lane takes the next one when it is free. Ends with 1 at the first broken
host, and names the seed and number that repeat its case alone; the tables at the end are those of docs/reliability.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import queue
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from handrail.testing.container import ContainerHost, engine
from handrail.testing.faults import CATALOGUE, COMMANDS, CUTS, DEPLOY, Command, Fault, Outcome, Scene, cut_after, strike
from handrail.testing.faults.scene import SMALL_OPTIONS

CUT = cut_after(50)


@dataclass(frozen=True)
class Case:
    """One draw; the same seed and number give the same."""

    number: int
    command: Command
    fault: Fault
    moment: str
    delay: float
    hosts: int
    which: int
    strategy: str

    def __str__(self) -> str:
        at = f" at {self.moment} + {self.delay * 1000:.0f} ms" if self.moment else ""
        of = f"host {self.which + 1} of {self.hosts}"
        return f"{self.number:>4}  {self.command.name}, {self.strategy}, {of}: {self.fault.name}{at}"


def draw(seed: int, number: int, *, command: str, fault: str) -> Case:
    dice = random.Random(f"{seed}-{number}")
    fixed = {cut_after(size).name for size in CUTS}
    faults = [each for each in CATALOGUE.values() if each.name not in fixed]
    faults.append(CUT)
    faults = [each for each in faults if fault in each.name]
    commands = [
        each for each in COMMANDS.values() if command in ("", each.name) and any(each.takes(one) for one in faults)
    ]
    if not commands:
        sys.exit(f"no fault {fault!r} strikes {command or 'any command'}; commands: {', '.join(COMMANDS)}")
    struck = dice.choices(commands, [each.weight for each in commands])[0]
    faults = [each for each in faults if struck.takes(each)]
    # Of the many places at which a connection can be cut, a deploy has the most.
    weights = [each.weight * (3 if struck is DEPLOY and each is CUT else 1) for each in faults]
    drawn = dice.choices(faults, weights)[0]
    if drawn is CUT:
        drawn = cut_after(round(100 * struck.sends * dice.random(), 1))
    strategy = dice.choice(struck.strategies)
    moments = struck.moments(drawn, strategy)
    hosts = 2 if strategy == "rolling" else dice.choice((1, 2))
    return Case(
        number=number,
        command=struck,
        fault=drawn,
        moment=dice.choice(moments) if moments else "",
        delay=dice.choice((0.0, round(dice.uniform(0, 0.2), 3))),
        hosts=hosts,
        which=dice.randrange(hosts),
        strategy=strategy,
    )


class Lane:
    """Hosts of its own, and one scene for each kind of environment, made when first drawn."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.hosts = [
            stack.enter_context(ContainerHost(folder / name, name=name, options=SMALL_OPTIONS))
            for name in ("host-a", "host-b")
        ]
        self.scenes: dict[tuple[int, str, str, bool], Scene] = {}
        self.made = 0

    def run(self, case: Case) -> Outcome:
        scene = self.scene(case)
        try:
            return strike(scene, case.fault, case.moment, command=case.command, which=case.which, delay=case.delay)
        finally:
            if "rebooted" in case.fault.name:
                # A reboot empties the file systems that are memory.
                self.scenes = {key: scene for key, scene in self.scenes.items() if not key[3]}

    def scene(self, case: Case) -> Scene:
        key = (case.hosts, case.strategy, case.command.kind, case.fault.small)
        if key not in self.scenes:
            self.made += 1
            place, cache = self.folder / f"scene-{self.made}", self.folder / "wheels"
            cache.mkdir(exist_ok=True)
            scene = Scene(
                place, f"shop{self.made}", self.hosts[: case.hosts], strategy=case.strategy, kind=case.command.kind,
                small=case.fault.small, cache=cache,
            )  # fmt: skip
            self.stack.enter_context(scene)
            broken = scene.deploy_good()
            if broken:
                raise AssertionError("\n".join(broken))
            self.scenes[key] = scene
        return self.scenes[key]


@dataclass
class Campaign:
    """The cases that are left, and what came of the others."""

    options: argparse.Namespace
    cases: Sequence[Case]
    started: float = field(default_factory=time.monotonic)
    done: list[tuple[Case, Outcome]] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left: queue.SimpleQueue[Case] = queue.SimpleQueue()
        for case in self.cases:
            self._left.put(case)
        self._guard = threading.Lock()
        self._stop = threading.Event()

    def work(self, folder: Path) -> None:
        """Take cases until none is left; one lane."""
        with ExitStack() as stack:
            try:
                lane = Lane(folder, stack)
                while not self._stop.is_set():
                    case = self._left.get_nowait()
                    began = time.monotonic()
                    try:
                        outcome = lane.run(case)
                    except Exception:
                        self.note_bad(case, traceback.format_exc())
                        # Nobody knows in which state it left its scene.
                        lane.scenes.clear()
                        continue
                    self.note(case, outcome, time.monotonic() - began)
            except queue.Empty:
                return

    def note(self, case: Case, outcome: Outcome, seconds: float) -> None:
        word = "BROKEN" if outcome.broken else outcome.word + ("" if outcome.reached else ", too late")
        with self._guard:
            self.done.append((case, outcome))
            print(f"{self.progress()}  {case}  → {word} (exit {outcome.returncode}, {seconds:.1f} s)", flush=True)
        if outcome.broken:
            self.note_bad(case, "\n".join([*outcome.broken, str(outcome.client)]))

    def note_bad(self, case: Case, why: str) -> None:
        words = f" --command {self.options.command!r}" if self.options.command else ""
        words += f" --fault {self.options.fault!r}" if self.options.fault else ""
        again = f".venv/bin/python scripts/bench/faults.py --seed {self.options.seed} --only {case.number}{words}"
        with self._guard:
            self.bad.append(f"\n{case}\n{why}\nrepeat it: {again}")
            print(self.bad[-1], flush=True)
        if not self.options.keep_going:
            self.stop()

    def stop(self) -> None:
        """Begin no further case."""
        self._stop.set()

    def progress(self) -> str:
        done, count = len(self.done), len(self.cases)
        left = (time.monotonic() - self.started) / done * (count - done) / 60
        return f"[{done:>3}/{count}, {left:.0f} min left]"

    def show(self) -> None:
        """Print the tables as they stand in docs/reliability.md."""
        seconds = time.monotonic() - self.started
        numbers = (
            f"--only {self.options.only}"
            if self.options.only
            else f"--count {self.options.count} --seed {self.options.seed} --jobs {self.options.jobs}"
        )
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        print(
            f"\n`{numbers}`, on a machine with {os.cpu_count()} virtual cores and {memory:.0f} GiB of memory, "
            f"{platform.system()} {platform.release()}: {seconds / 60:.0f} minutes, "
            f"{seconds * self.options.jobs / max(1, len(self.done)):.1f} s a case in its lane.\n"
        )
        order = {name: number for number, name in enumerate(COMMANDS)}
        show_table("command", ((case.command.name, outcome) for case, outcome in self.done), order)
        rows = {family(fault): fault.row for fault in CATALOGUE.values()}
        print()
        show_table("fault", ((family(case.fault), outcome) for case, outcome in self.done), rows)


def show_table(title: str, outcomes: Iterable[tuple[str, Outcome]], order: dict[str, int]) -> None:
    counts: dict[str, Counter[str]] = {}
    for name, outcome in outcomes:
        row = counts.setdefault(name, Counter())
        row.update({"count": 1, outcome.word: 1, "late": int(not outcome.reached), "broken": len(outcome.broken)})
    columns = ("count", "new", "old", "mixed", "late", "broken")
    print(f"| {title} | count | new | old | mixed | too late | broken hosts |\n|---|{'---:|' * len(columns)}")
    for name in sorted(counts, key=lambda name: (order[name], name)):
        print(f"| {name} | {' | '.join(str(counts[name][column]) for column in columns)} |")
    total = sum(counts.values(), Counter())
    print(f"| **all** | {' | '.join(f'**{total[column]}**' for column in columns)} |")


def family(fault: Fault) -> str:
    return "connection cut after some bytes" if "bytes" in fault.name else fault.name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="lanes, each with two hosts (default: 2)")
    parser.add_argument("--only", type=int, metavar="N", help="run case N alone")
    parser.add_argument("--command", default="", metavar="C", help=f"draw only this command: {', '.join(COMMANDS)}")
    parser.add_argument("--fault", default="", metavar="WORDS", help="draw only faults whose names hold these words")
    parser.add_argument("--keep-going", action="store_true", help="go on after a broken host, to see all of them")
    parser.add_argument("--list", action="store_true", help="show the cases, run none")
    options = parser.parse_args()
    numbers = [options.only] if options.only else range(1, options.count + 1)
    cases = [draw(options.seed, number, command=options.command, fault=options.fault) for number in numbers]
    if options.list:
        print(*cases, sep="\n")
        return
    campaign = Campaign(options, cases)
    with tempfile.TemporaryDirectory() as name, engine():
        lanes = [
            threading.Thread(target=campaign.work, args=(Path(name) / f"lane-{number}",))
            for number in range(min(options.jobs, len(cases)))
        ]
        for lane in lanes:
            lane.start()
        # Whoever ends the campaign waits for the cases that run: their hosts must not be left behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: campaign.stop())
        for lane in lanes:
            lane.join()
    campaign.show()
    if campaign.bad or len(campaign.done) < len(cases):
        sys.exit(f"\n{len(campaign.bad)} broken, {len(cases) - len(campaign.done)} not run" + "\n".join(campaign.bad))


if __name__ == "__main__":
    main()
