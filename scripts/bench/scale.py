"""Deploys to 1 to 100 hosts: Handrail beside a parallel ``tar | ssh`` script, Capistrano, Ansible and pyinfra.

The hosts are OpenSSH servers on loopback addresses, each with an app root of its own; a delaying TCP proxy puts them
50 ms away. All do the same work (see rivals.py), alternately, in one run; after each deploy every host is asked on disk
whether it serves what was deployed. Each tool deploys once before it is measured (the large release to more than ten
hosts is warmed up by the small one, and a first deploy of more than a minute counts); a cell is the median of its runs.

    .venv/bin/python scripts/bench/scale.py [--hosts 1,10,20,50,100] [--rtt 0,50] [--sizes small,large]
        [--tools script,handrail,capistrano,ansible,pyinfra] [--runs 3] [--minutes 150]

It begins with what the goals are about (20 hosts, 50 ms) and ends when the minutes are used up; a cell that was not run
is a dash, and so is one in which a tool failed twice. All of it takes 80 minutes to two hours. Everything stays on
loopback. Exits with 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rivals
from deploy import make_tree

from handrail.testing.fleet import Distance, LoopbackFleet
from handrail.testing.project import DeployProject

GOAL = (20, 50, "small")
ROLLBACK_SECONDS = 1.5
MEMORY_MIB = 300
LONGEST = 900.0
# A first deploy that took as many seconds is not done again: what it lost to empty folders is little of that.
COUNTS_AT_ONCE = 60.0
FILES = {"small": 20, "large": 6800}

Cell = tuple[int, int, str]
"""(hosts, round-trip time in ms, size)"""


@dataclass
class Results:
    """Seconds by cell and tool, and what Handrail's own runs said of themselves."""

    seconds: dict[Cell, dict[str, list[float]]] = field(default_factory=dict)
    skew_ms: dict[Cell, list[float]] = field(default_factory=dict)
    memory_mib: dict[Cell, float] = field(default_factory=dict)
    rollback: dict[Cell, list[float]] = field(default_factory=dict)
    failed: set[tuple[Cell, str]] = field(default_factory=set)

    def median(self, cell: Cell, tool: str) -> float | None:
        runs = self.seconds.get(cell, {}).get(tool)
        return statistics.median(runs) if runs else None


@dataclass(frozen=True)
class Finished:
    seconds: float
    memory_mib: float
    stdout: str


def timed(argv: Sequence[str], folder: Path, extra: Mapping[str, str], log: Path) -> Finished:
    """Run a command to its end; its memory is the largest that it or a child of it ever had.

    Raises:
        RuntimeError: it failed, or took longer than `LONGEST` seconds.
    """
    started = time.perf_counter()
    with log.open("w+b") as out, log.with_suffix(".err").open("w+b") as err:
        process = subprocess.Popen(
            argv, cwd=folder, env={**os.environ, **extra}, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True,
        )  # fmt: skip
        # timeout(1) is not used: the child's own resource usage is wanted.
        pid, status, usage = 0, 0, None
        while not pid:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if not pid:
                if time.perf_counter() - started > LONGEST:
                    os.killpg(process.pid, 9)
                    os.wait4(process.pid, 0)
                    raise RuntimeError(f"took longer than {LONGEST:.0f} s")
                time.sleep(0.002)
        took = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        for stream in (out, err):
            stream.seek(0)
        stdout, stderr = out.read().decode("utf-8", "replace"), err.read().decode("utf-8", "replace")
    if process.returncode != 0:
        raise RuntimeError(f"exit {process.returncode}: {stdout.strip()[-300:]}{stderr.strip()[-1500:]}")
    assert usage is not None
    return Finished(took, usage.ru_maxrss / 1024, stdout)


class Bench:
    """One fleet of hosts and one project, on which every tool deploys."""

    def __init__(self, folder: Path, tools: Sequence[rivals.Tool], results: Results, deadline: float) -> None:
        self.folder, self.tools, self.results, self.deadline = folder, tools, results, deadline
        self.number = 0

    def run(self, count: int, rtt: int, sizes: Sequence[str], runs: int) -> None:
        """Measure what goes to one fleet, as far as the time goes; one is started for all sizes."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self.folder)))
            fleet = stack.enter_context(LoopbackFleet(folder / "fleet", count))
            far = stack.enter_context(Distance(fleet.hosts, rtt / 1000))
            project = DeployProject(folder / "project", "shop", far.hosts, {"test": {"keep": rivals.KEEP}})
            for tool in self.tools:
                tool.arrange(project, far.hosts)
            for size in sizes:
                cell = (count, rtt, size)
                write_tree(project, size)
                # The first deploy of each is not measured: it meets empty folders and cold caches. Half a million
                # files only to warm the caches would take the time of the run.
                is_warm = size == "large" and count > 10 and "small" in sizes
                rounds = runs if size == "small" and count <= 20 else 1
                for round_ in range(1 if is_warm else 0, rounds + 1):
                    for tool in self.tools:
                        if rounds > 1 or not self.results.seconds.get(cell, {}).get(tool.name):
                            self.take_turn(tool, cell, project, fleet, is_measured=round_ > 0)
                if size == "small" and any(isinstance(tool, rivals.Handrail) for tool in self.tools):
                    self.roll_back(cell, project, runs)

    def take_turn(
        self, tool: rivals.Tool, cell: Cell, project: DeployProject, fleet: LoopbackFleet, *, is_measured: bool
    ) -> None:
        """Deploy once; what fails is tried again, and what fails again has no time in this cell."""
        for _ in range(2):
            if time.monotonic() > self.deadline or (cell, tool.name) in self.results.failed:
                return
            try:
                self.deploy(tool, cell, project, fleet, is_measured=is_measured)
                break
            except (RuntimeError, OSError) as error:
                print(f"    {cell} {tool.name}: {error}", flush=True)
        else:
            self.results.failed.add((cell, tool.name))

    def deploy(
        self, tool: rivals.Tool, cell: Cell, project: DeployProject, fleet: LoopbackFleet, *, is_measured: bool
    ) -> None:
        self.number += 1
        stamp = f"r{self.number:06}"
        project.write("stamp.txt", stamp)
        if isinstance(tool, rivals.Handrail) and cell[2] == "large":
            # What is on the host already would not travel: every run brings all of it, as the others do. Nothing is
            # deleted before the fleet is done: ext4 looks for a new inode among those deleted in the last minutes, one
            # by one, and the next tool's deploy would take up to twice its time.
            for host in fleet.hosts:
                with suppress(FileNotFoundError):
                    Path(host.home, "apps", tool.app).rename(Path(host.home, f"before-{stamp}"))
        project.commit(stamp)
        if cell[2] == "large":
            # Unlinked and written pages of one tool must not be another's time.
            os.sync()
        done = timed(tool.argv(stamp), project.folder, tool.environment(), self.folder / "output")
        for host in fleet.hosts:
            served = Path(host.home, "apps", tool.app, "current", "stamp.txt").read_text()
            if served != stamp:
                raise RuntimeError(f"{host.name} serves {served}, not {stamp}")
        is_measured = is_measured or done.seconds > COUNTS_AT_ONCE
        print(f"    {cell} {tool.name:<11}{done.seconds:7.2f} s{'' if is_measured else '  (not counted)'}", flush=True)
        if not is_measured:
            return
        self.results.seconds.setdefault(cell, {}).setdefault(tool.name, []).append(done.seconds)
        if isinstance(tool, rivals.Handrail):
            document = json.loads(done.stdout)
            self.results.skew_ms.setdefault(cell, []).append(document["switch_skew_ms"] or 0.0)
            self.results.memory_mib[cell] = max(self.results.memory_mib.get(cell, 0.0), done.memory_mib)

    def roll_back(self, cell: Cell, project: DeployProject, runs: int) -> None:
        """Roll back with neither git nor a package index."""
        nowhere = self.folder / "nowhere"
        nowhere.mkdir(exist_ok=True)
        for name in ("git", "pip", "uv"):
            (nowhere / name).write_text("#!/bin/sh\necho 'unreachable' >&2\nexit 1\n")
            (nowhere / name).chmod(0o755)
        dead = "http://127.0.0.1:9"
        extra = {"PATH": f"{nowhere}:{os.environ['PATH']}", "HTTP_PROXY": dead, "HTTPS_PROXY": dead}
        argv = [sys.executable, "-m", "invoke", "rollback", "--env", "test", "--yes", "--json"]
        for _ in range(min(runs, 3)):
            try:
                done = timed(argv, project.folder, extra, self.folder / "output")
            except RuntimeError as error:
                if not self.results.rollback.get(cell):
                    print(f"    rollback: {error}", flush=True)
                return  # there are no more releases to go back to
            self.results.rollback.setdefault(cell, []).append(done.seconds)
            print(f"    {cell} rollback   {done.seconds:7.2f} s", flush=True)


def write_tree(project: DeployProject, size: str) -> None:
    # Capistrano writes its own log there.
    ignored = (project.folder / ".gitignore").read_text()
    if "/log/" not in ignored:
        project.write(".gitignore", ignored + "/log/\n")
    if size == "large":
        make_tree(project.folder, FILES[size])
    else:
        source = random.Random(7)
        for number in range(FILES[size]):
            project.write(f"src/module{number:02}.py", f"value = {source.randbytes(300).hex()!r}\n")


def fleets(hosts: Sequence[int], rtts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield what is wanted, the goals' own fleet first, the dearest last."""
    yield from sorted(itertools.product(hosts, rtts), key=lambda fleet: (fleet != GOAL[:2], fleet))


def print_tables(results: Results, names: Sequence[str]) -> None:
    for size, rtt in sorted({(cell[2], cell[1]) for cell in results.seconds}, key=lambda pair: (pair[0], pair[1])):
        print(f"\n{'Small' if size == 'small' else 'Large'} release ({FILES[size]:,} files), {rtt} ms, seconds:\n")
        print(f"| hosts | {' | '.join(name.replace('|', chr(92) + '|') for name in names)} | Handrail's switch skew |")
        print("|---:|" + "---:|" * (len(names) + 1))
        for cell in sorted(cell for cell in results.seconds if cell[1:] == (rtt, size)):
            row = [results.median(cell, name) for name in names]
            skew = results.skew_ms.get(cell)
            shown = [f"{value:.2f}" if value is not None else "-" for value in row]
            told = f"{statistics.median(skew):.0f} ms" if skew and cell[0] > 1 else "-"
            print(f"| {cell[0]} | {' | '.join(shown)} | {told} |")


def judge(results: Results) -> bool:
    """Print each goal and whether it is met; return whether all that were measured are."""
    verdicts: list[bool] = []

    def say(what: str, value: float | None, limit: float, unit: str) -> None:
        if value is None:
            print(f"| {what} | - | {limit:.2f}{unit} | not measured |")
            return
        verdicts.append(value <= limit)
        print(f"| {what} | {value:.2f}{unit} | {limit:.2f}{unit} | {'met' if value <= limit else 'MISSED'} |")

    ours, script = (results.median(GOAL, name) for name in ("Handrail", "tar | ssh"))
    others = [results.median(GOAL, tool.name) for tool in rivals.ALL[2:]]
    best = min((value for value in others if value is not None), default=None)
    rollback = results.rollback.get(GOAL)
    memory = max((value for cell, value in results.memory_mib.items() if cell[0] == 100), default=None)
    print("\n| goal | measured | limit | |\n|---|---:|---:|---|")
    say("20 hosts, 50 ms: of the best other tool's time", ours / best if ours and best else None, 0.5, " x")
    say("20 hosts, 50 ms: of the script's time", ours / script if ours and script else None, 1.5, " x")
    say("rollback of 20 hosts, 50 ms, no git, no index", statistics.median(rollback) if rollback else None,
        ROLLBACK_SECONDS, " s")  # fmt: skip
    say("memory of the client at 100 hosts", memory, MEMORY_MIB, " MiB")
    return all(verdicts)


def main() -> None:
    arguments: Any = _arguments()
    # As on a user's machine: Python keeps what it compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in [name for name in os.environ if name.startswith(("CI", "GITHUB_", "INVOKE_"))]:
        del os.environ[name]
    started = time.monotonic()
    results = Results()
    with tempfile.TemporaryDirectory(prefix="scale") as name:
        tools = []
        for kind in rivals.ALL:
            if kind.__name__.lower() not in arguments.tools:
                continue
            tool = kind()
            place = Path(name) / kind.__name__.lower()
            place.mkdir()
            try:
                tool.install(place)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"{tool.name} is left out: it cannot be installed: {error}")
                continue
            tools.append(tool)
        print(
            f"installed after {time.monotonic() - started:.0f} s: {', '.join(tool.name for tool in tools)}", flush=True
        )
        bench = Bench(Path(name), tools, results, started + arguments.minutes * 60)
        for count, rtt in fleets(arguments.hosts, arguments.rtt):
            if time.monotonic() > bench.deadline:
                print(f"{count} hosts, {rtt} ms: no time left")
                continue
            bench.run(count, rtt, [size for size in FILES if size in arguments.sizes], arguments.runs)
    print_tables(results, [tool.name for tool in tools])
    if not judge(results):
        sys.exit(1)


def _arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [kind.__name__.lower() for kind in rivals.ALL]
    parser.add_argument("--hosts", type=lambda text: [int(n) for n in text.split(",")], default=[1, 10, 20, 50, 100])
    parser.add_argument("--rtt", type=lambda text: [int(n) for n in text.split(",")], default=[0, 50])
    parser.add_argument("--sizes", type=lambda text: text.split(","), default=["small", "large"])
    parser.add_argument("--tools", type=lambda text: text.split(","), default=names)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=150.0)
    arguments = parser.parse_args()
    for given, known, what in ((arguments.tools, names, "--tools"), (arguments.sizes, list(FILES), "--sizes")):
        if unknown := [word for word in given if word not in known]:
            parser.error(f"{what}: unknown {', '.join(unknown)}; known: {', '.join(known)}")
    return arguments


if __name__ == "__main__":
    main()
