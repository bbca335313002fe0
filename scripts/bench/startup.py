"""Start-up: `inv --list` with the toolkit beside `inv --list` on a one-task tasks.py without it.

Both run from the same environment, interleaved, so that a busy machine slows both. Prints medians and exits 1
when the ratio is above the budget. Run it with the environment's Python: `.venv/bin/python scripts/bench/startup.py`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUDGET = 1.15
ROOT = Path(__file__).resolve().parents[2]
PLAIN = '''from invoke import task


@task
def hello(c):
    """Say hello."""
    print("hello")
'''


def main() -> int:
    """Measure, print the table, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=25, help="runs of each command (at least 15)")
    parser.add_argument("--budget", type=float, default=BUDGET, help="highest ratio of the medians")
    options = parser.parse_args()
    runs = max(15, options.runs)
    inv = str(Path(sys.executable).with_name("inv"))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "tasks.py").write_text(PLAIN, encoding="utf-8")
        cases = {"plain invoke, one task": Path(folder), "with handrail": ROOT}
        # As on a machine of somebody: bytecode is kept, whatever this shell says about it. It is kept apart, so that
        # both sides start from the same nothing.
        env = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder, "bytecode"))}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        for run in range(-2, runs):  # the first two fill caches and bytecode
            for name, cwd in cases.items():
                taken = measure([inv, "--list"], cwd, env)
                if run >= 0:
                    seconds[name].append(taken)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{'inv --list':24}  {'median':>8}  {'fastest':>8}  {'slowest':>8}   ({runs} runs each, interleaved)")
    for name, values in seconds.items():
        print(f"{name:24}  {medians[name] * 1000:5.0f} ms  {min(values) * 1000:5.0f} ms  {max(values) * 1000:5.0f} ms")
    plain, ours = medians.values()
    ratio = ours / plain
    print(f"ratio {ratio:.3f}, budget {options.budget}: {'ok' if ratio <= options.budget else 'TOO SLOW'}")
    return 0 if ratio <= options.budget else 1


def measure(argv: list[str], cwd: Path, env: dict[str, str]) -> float:
    """Return the seconds that ``argv`` takes in ``cwd``."""
    began = time.perf_counter()
    subprocess.run(argv, cwd=cwd, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
