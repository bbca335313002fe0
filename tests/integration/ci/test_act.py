"""`inv ci` with the real act: a workflow of its own here, and this repository's ci.yml from a clean clone.

Of ci.yml run lint and one entry of the matrix, and there one test file instead of all: the whole would run this very
test inside itself. For the same reason none of it runs inside act.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from handrail.build.tools import find_uv
from handrail.ci.act import find_act
from handrail.errors import UsageError
from handrail.testing.fixtures import report_unavailable

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


def test_this_repositorys_own_workflow_is_green_from_a_clean_clone(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        report_unavailable("this is no git repository, so there is nothing to clone")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    # The bootstrap would install a uv of its own for each job.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "uv").symlink_to(find_uv())
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    runs = [
        ("lint",),
        ("matrix", f"python={python}", "--variable", "PYTEST_ADDOPTS=tests/unit/ui/test_github.py -p no:randomly"),
    ]
    for words in runs:
        code, document, said = inv_ci(clone, *words, PATH=path)
        assert code == 0, said
        (job,) = document["jobs"]
        assert job["job"] == words[0]
        assert [step["state"] for step in job["steps"]] == ["passed"] * len(job["steps"])
        assert any(".venv/bin/inv" in step["name"] for step in job["steps"])
    assert not (clone / ".venv").exists(), "a job works in a copy"
