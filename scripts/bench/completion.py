"""Completion: how long one press of Tab takes in bash, zsh and fish, in this repository's example.

Each shell has its script loaded and is asked again and again inside one process, as a person's shell would be; the
cache is warm, as it is from the second press on. Prints the medians and exits 1 where one is above the budget. Run it
with the environment's Python: `.venv/bin/python scripts/bench/completion.py`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

BUDGET = 100
PROJECT = Path(__file__).resolve().parents[2] / "examples" / "webapp"
# Each prints the milliseconds of one press a line.
BASH = """
eval "$(inv completion bash)"
COMP_TYPE=9 COMP_WORDS=({words} '') COMP_CWORD={count}
for i in $(seq {runs}); do
    began=$EPOCHREALTIME; _handrail_complete; ended=$EPOCHREALTIME
    [ ${{#COMPREPLY[@]}} -gt 0 ] || exit 1
    echo $(( (${{ended/./}} - ${{began/./}}) / 1000 ))
done
"""
ZSH = """
zmodload zsh/datetime zsh/mathfunc
compdef() {{ }}; _describe() {{ asked=yes }}
eval "$(inv completion zsh)"
words=({words} ''); CURRENT=$(( {count} + 1 ))
for i in {{1..{runs}}}; do
    began=$EPOCHREALTIME; _handrail_complete; ended=$EPOCHREALTIME
    [[ $asked == yes ]] || exit 1
    echo $(( int((ended - began) * 1000) ))
done
"""
FISH = """
inv completion fish | source
for i in (seq {runs})
    set began (date +%s%N); set found (complete -C '{words} '); set ended (date +%s%N)
    test (count $found) -gt 0; or exit 1
    math "floor(($ended - $began) / 1000000)"
end
"""
SHELLS = {"bash": (["bash", "--norc", "-c"], BASH), "zsh": (["zsh", "-f", "-c"], ZSH), "fish": (["fish", "-c"], FISH)}
LINES = {"tasks": "inv", "environments": "inv deploy --env"}


def main() -> int:
    """Measure, print the table, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=25, help="presses for each line")
    parser.add_argument("--budget", type=int, default=BUDGET, help="highest median in ms")
    options = parser.parse_args()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    slow = False
    print(f"{'one press of Tab':24}  {'median':>8}  {'fastest':>8}  {'slowest':>8}   ({options.runs} presses each)")
    for shell, (argv, text) in SHELLS.items():
        if not shutil.which(shell):
            print(f"{shell:24}  not installed: not measured")
            continue
        for what, words in LINES.items():
            script = text.format(words=words, count=len(words.split()), runs=options.runs)
            done = subprocess.run(
                [*argv, script],
                cwd=PROJECT,
                env={**os.environ, "PATH": path},
                check=True,
                capture_output=True,
                text=True,
            )
            taken = [int(float(line)) for line in done.stdout.split()]
            median = statistics.median(taken)
            slow = slow or median > options.budget
            print(f"{shell + ', ' + what:24}  {median:5.0f} ms  {min(taken):5.0f} ms  {max(taken):5.0f} ms")
    print(f"budget {options.budget} ms: {'TOO SLOW' if slow else 'ok'}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
