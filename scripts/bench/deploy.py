"""`inv deploy` beside a hand-written ``tar | ssh`` script: the same tree, the same host, in one run.

The host is Debian's OpenSSH on loopback; the tree has 6,800 files and 13 MB when compressed. The script does what such
scripts do: unpack into a new release folder, switch a link, prune old releases. Both are run alternately; each
row of the table is a median. Two cases: the host has nothing yet, so all of the tree travels; and one file changed.

    .venv/bin/python scripts/bench/deploy.py [--runs 5] [--files 6800]

Exits with 1 where the first case takes more than 1.5 times the script's time.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from handrail.testing.host import write_client_files
from handrail.testing.sshd import SshdHost

LIMIT = 1.5
PACKED_BYTES = 13_000_000

SCRIPT = """set -eu
release=$(date +%s%N)
git archive --format=tar HEAD | gzip -1 | ssh -F "$1" "$2" "
  set -eu
  mkdir -p apps/script/releases/$release
  tar -xzf - -C apps/script/releases/$release
  ln -s releases/$release apps/script/current.new
  mv -T apps/script/current.new apps/script/current
  ls -1d apps/script/releases/* | sort | head -n -5 | xargs -r rm -rf
"
"""

PROJECT = """[tool.handrail]
app = "{app}"

[tool.handrail.environments.bench]
hosts = ["{host}"]
ssh_config = ".ssh/ssh_config"
known_hosts = ".ssh/known_hosts"
reserve = 16
"""


def make_tree(folder: Path, files: int) -> None:
    """Write ``files`` text files whose compressed size is about `PACKED_BYTES` in all."""
    source = random.Random(7)
    # Half of every file is random hexadecimal digits (which compress by half), half repeats: like source code.
    each = PACKED_BYTES // files
    for number in range(files):
        path = folder / f"package{number % 97:02d}" / f"module{number:04d}.py"
        path.parent.mkdir(exist_ok=True)
        digits = source.randbytes(each).hex()
        lines = [digits[i : i + 80] for i in range(0, len(digits), 80)]
        path.write_text("\n".join(lines) + "\n# padding\n" * (each // 10))


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.invalid"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def timed(argv: list[str], folder: Path) -> float:
    started = time.perf_counter()
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    took = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(argv)} failed:\n{done.stdout}\n{done.stderr}")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--files", type=int, default=6800)
    options = parser.parse_args()
    inv = str(Path(sys.executable).with_name("inv"))
    first: dict[str, list[float]] = {"tar | ssh": [], "inv deploy": []}
    again: dict[str, list[float]] = {"tar | ssh": [], "inv deploy": []}
    with tempfile.TemporaryDirectory() as name, SshdHost(Path(name) / "host") as host:
        project = Path(name) / "project"
        project.mkdir()
        make_tree(project, options.files)
        (project / ".ssh").mkdir()
        write_client_files(project / ".ssh", [host])
        (project / ".gitignore").write_text(".ssh/\n.handrail/\n")
        (project / "tasks.py").write_text("import handrail\n\nnamespace = handrail.collection()\n")
        (project / "pyproject.toml").write_text(PROJECT.format(app="shop", host=host.name))
        git(project, "init", "-q")
        git(project, "add", "-A")
        git(project, "commit", "-q", "-m", "tree")
        packed = len(subprocess.run("git archive HEAD | gzip -1", shell=True, cwd=project, capture_output=True).stdout)
        script = ["sh", "-c", SCRIPT, "script", str(project / ".ssh/ssh_config"), host.name]
        deploy = [inv, "deploy", "--env", "bench", "--yes"]
        for run in range(options.runs):
            host.run("rm -rf apps")
            first["tar | ssh"].append(timed(script, project))
            first["inv deploy"].append(timed(deploy, project))
            (project / "package00/module0000.py").write_text(f"changed = {run}\n")
            git(project, "commit", "-q", "-a", "-m", f"change {run}")
            again["tar | ssh"].append(timed(script, project))
            again["inv deploy"].append(timed(deploy, project))
    print(f"{options.files} files, {packed / 1e6:.1f} MB compressed, {options.runs} runs, medians in seconds\n")
    print(f"{'case':<28}{'tar | ssh':>12}{'inv deploy':>12}{'ratio':>8}")
    ratios = []
    for case, rows in (("the host has nothing", first), ("one file changed", again)):
        medians = {name: statistics.median(values) for name, values in rows.items()}
        ratios.append(medians["inv deploy"] / medians["tar | ssh"])
        print(f"{case:<28}{medians['tar | ssh']:>12.2f}{medians['inv deploy']:>12.2f}{ratios[-1]:>8.2f}")
    if ratios[0] > LIMIT:
        sys.exit(f"\nover the limit of {LIMIT} x")


if __name__ == "__main__":
    main()
