"""`inv ci` with the real act: workflows of its own here, and the whole of this repository's ci.yml from a clean clone.

Of the tests in ci.yml runs one file instead of all: the whole would run this very test inside itself. For the same
reason none of it runs inside act.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from handrail.build.tools import find_uv
from handrail.ci.act import find_act
from handrail.ci.actions import mirror_folder, remote_actions
from handrail.ci.run import choose
from handrail.commands import Runner
from handrail.errors import UsageError
from handrail.pythons import find_pythons
from handrail.testing.fixtures import report_unavailable
from handrail.testing.host import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.environ.get("ACT") == "true", reason="this runs inside act already"),
]

ROOT = Path(__file__).resolve().parents[3]
INV = str(Path(sys.executable).with_name("inv"))
WORKFLOW = """\
on: push
jobs:
  green:
    runs-on: ubuntu-24.04
    strategy:
      matrix:
        word: [one, two]
    steps:
      - uses: actions/checkout@v7
      - run: test -f tasks.py && test ! -e .env && test -z "$VIRTUAL_ENV"
      - run: echo "$WORD $GREETING"
        env:
          WORD: ${{ matrix.word }}
  red:
    runs-on: ubuntu-24.04
    needs: green
    steps:
      - uses: actions/checkout@v7
      - run: echo "::error file=tasks.py,line=1::not like this" && echo what it said && exit 3
      - run: echo never
  after:
    runs-on: ubuntu-24.04
    needs: red
    steps:
      - run: echo never
  elsewhere:
    runs-on: windows-2025
    steps:
      - run: echo never
"""


@pytest.fixture(autouse=True)
def act(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where GitHub runs this, the outer job is no part of the inner one.
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "RUNNER_"))]:
        monkeypatch.delenv(name)
    try:
        find_act()
    except UsageError as error:
        report_unavailable(error.message)


def inv_ci(folder: Path, *words: str, **environ: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [INV, "ci", *words, "--json"],
        cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout or "{}"), done.stdout + done.stderr


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words], cwd=folder, check=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text("import handrail\n\nnamespace = handrail.collection()\n")
    (tmp_path / "pyproject.toml").write_text('[tool.handrail]\napp = "shop"\n')
    (tmp_path / ".gitignore").write_text(".handrail/\n.env\n")
    (tmp_path / ".env").write_text("GREETING=from the laptop\n")
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (workflows / "ci.yml").write_text(WORKFLOW)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "x")
    return tmp_path


def test_each_job_and_step_gets_its_verdict_and_what_did_not_run_is_not_green(project: Path) -> None:
    code, document, said = inv_ci(project)
    assert code == 1, said
    states = {job["name"]: job["state"] for job in document["jobs"]}
    assert states == {
        "green (one)": "passed",
        "green (two)": "passed",
        "red": "failed",
        "after": "not run",
        "elsewhere": "not run",
    }
    red = next(job for job in document["jobs"] if job["job"] == "red")
    assert [step["state"] for step in red["steps"]] == ["passed", "failed", "not run"][: len(red["steps"])]

    text = subprocess.run([INV, "ci", "red"], cwd=project, capture_output=True, text=True, check=False)
    assert "what it said" in text.stdout
    assert "tasks.py:1: error: not like this" in text.stdout
    assert "Traceback" not in text.stdout + text.stderr


def test_one_entry_of_the_matrix_runs_with_what_the_line_gives_it(project: Path) -> None:
    code, document, said = inv_ci(project, "green", "word=two", "--variable", "GREETING=hello", HANDRAIL_VERBOSE="1")
    assert code == 0, said
    assert [job["name"] for job in document["jobs"]] == ["green (two)"]
    assert document["green"] is True


def left_running(mark: str) -> list[str]:
    found = subprocess.run(["ps", "axww", "-o", "command="], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if line == mark]


@pytest.fixture
def lingering(project: Path) -> str:
    """Give the project a step that leaves a process behind in a session of its own; return its command line."""
    mark = f"sleep {random.randrange(10**6, 10**9)}"
    (project / "leave.py").write_text(
        "from subprocess import DEVNULL, Popen\n"
        f"Popen({mark.split()!r}, start_new_session=True, stdout=DEVNULL, stderr=DEVNULL)\n"
    )
    leave = f"{sys.executable} leave.py"
    for name, script in (("short", leave), ("long", f'{leave} && touch "$BEGUN" && exec sleep 600')):
        (project / ".github" / "workflows" / f"{name}.yml").write_text(
            f"on: push\njobs:\n  {name}:\n    runs-on: ubuntu-24.04\n    steps:\n"
            f"      - uses: actions/checkout@v7\n      - run: {script}\n"
        )
    return mark


def test_what_a_step_left_running_is_ended_with_the_run(project: Path, lingering: str) -> None:
    code, _, said = inv_ci(project, "short")
    assert code == 0, said
    assert left_running(lingering) == []


def test_an_interrupted_run_leaves_neither_processes_nor_folders(project: Path, lingering: str, tmp_path: Path) -> None:
    begun, temporary = tmp_path / ".handrail" / "begun", tmp_path / ".handrail" / "temporary"
    temporary.mkdir(parents=True)
    running = subprocess.Popen(
        [INV, "ci", "long", "--variable", f"BEGUN={begun}"],
        cwd=project, env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        wait_until(lambda: begun.exists() and left_running(lingering), "the step to begin", seconds=60)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert left_running(lingering) == []
    assert list(temporary.iterdir()) == []


# Keeps what it is given in a folder that the test can look into; GitHub's own would need Node and the internet.
KEEPING = """\
runs:
  using: composite
  steps:
    - shell: bash
      env:
        NAME: ${{{{ inputs.name }}}}
        FROM: ${{{{ inputs.path }}}}
      run: cp -R "$FROM" "{kept}/$NAME"
inputs:
  name: {{required: true}}
  path: {{required: true}}
  if-no-files-found: {{default: warn}}
  include-hidden-files: {{default: "false"}}
"""
ONE_FILE = "tests/unit/ui/test_github.py --no-cov -W 'ignore:Coverage disabled'"


def tools_for_a_job(folder: Path, workflow: str) -> Path:
    """Return a folder for PATH with a uv, and what the job would install on this machine, as root."""
    folder.mkdir()
    # The bootstrap would install a uv of its own for each job.
    (folder / "uv").symlink_to(find_uv())
    for line in re.findall(r'bootstrap --debian "([^"]+)"', workflow):
        for program in (pair.partition(":")[0] for pair in line.split()):
            if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
                (folder / program).write_text("#!/bin/sh\n")
                (folder / program).chmod(0o755)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1200)  # nine jobs, each with an environment of its own
def test_this_repositorys_own_workflow_is_green_from_a_clean_clone(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        report_unavailable("this is no git repository, so there is nothing to clone")
    clone, kept = tmp_path / "clone", tmp_path / "kept"
    kept.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    chosen = choose(clone, "", "ci.yml")
    jobs = chosen[0].jobs
    pythons = [value.text for job in jobs for value in job.matrix.get("python", [])]
    absent = sorted(set(pythons) - set(find_pythons(pythons, Runner())))
    if absent and not os.environ.get("CI"):
        report_unavailable(f"a job would download Python {', '.join(absent)}")
    for action in remote_actions(jobs):
        place = mirror_folder(clone) / action
        place.mkdir(parents=True)
        (place / "action.yml").write_text(KEEPING.format(kept=kept))
    tools = tools_for_a_job(tmp_path / "tools", (clone / ".github" / "workflows" / "ci.yml").read_text())

    code, document, said = inv_ci(
        clone, "--workflow", "ci.yml", "--variable", f"PYTEST_ADDOPTS={ONE_FILE}",
        PATH=f"{tools}{os.pathsep}{os.environ['PATH']}",
    )  # fmt: skip

    assert code == 0, said
    assert document["green"] is True
    ran = {job["name"]: job for job in document["jobs"]}
    assert sorted(ran) == sorted(
        ["lint", "typecheck", "build", "test", "check", *(f"matrix ({python})" for python in pythons)]
    )
    assert len(pythons) == 4
    written = {job.name: [step.name for step in job.steps] for job in jobs}
    for job in ran.values():
        assert job["state"] == "passed", said
        assert [(step["name"], step["state"]) for step in job["steps"]] == [
            (name, "passed") for name in written[job["job"]]
        ]
    assert ran["check"]["steps"][-1]["name"] == ".venv/bin/inv check --ci-results"
    assert {each.suffix for each in (kept / "dist").iterdir()} >= {".whl", ".bundle"}
    assert {each.name for each in (kept / "test-reports").iterdir()} >= {"tests.xml", "fingerprint.json"}
    assert not (clone / ".venv").exists(), "a job works in a copy"
