"""The snippets of docs/adopting.md do what the page says, in a project that has nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from handrail.scaffold.write.entry_files import NOXFILE_TEXT, TASKS_TEXT

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "adopting.md").read_text("utf-8")
SNIPPETS = dict(re.findall(r"<!-- test: (\w+) -->\n```python\n(.*?)```", PAGE, flags=re.DOTALL))

pytestmark = pytest.mark.unit


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[tool.handrail]\napp = "shop"\n')
    (tmp_path / "tasks.py").write_text(TASKS_TEXT)
    (tmp_path / "noxfile.py").write_text(NOXFILE_TEXT)
    return tmp_path


def run(project: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "CI", "NOX"))}
    return subprocess.run(
        [sys.executable, "-m", *argv], cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def test_the_page_shows_every_way_to_extend() -> None:
    assert set(SNIPPETS) == {"adding", "replacing", "hooking", "hiding", "session"}


def test_an_added_task_is_listed_and_runs(project: Path) -> None:
    (project / "tasks.py").write_text(SNIPPETS["adding"])
    assert run(project, "invoke", "greet", "--name", "Ada").stdout == "hello Ada\n"
    listed = run(project, "invoke", "--list").stdout
    assert "greet" in listed
    assert "rollback" in listed


def test_a_replaced_task_wins(project: Path) -> None:
    (project / "tasks.py").write_text(SNIPPETS["replacing"])
    assert run(project, "invoke", "lint").stdout == "our own lint\n"


def test_a_hooked_task_runs_only_after_what_comes_before_it(project: Path) -> None:
    (project / "tasks.py").write_text(SNIPPETS["hooking"])
    refused = run(project, "invoke", "release")
    assert refused.returncode == 2
    assert "nothing was written by handrail init" in refused.stderr
    assert "released" not in refused.stdout
    (project / ".git").mkdir()
    adopted = run(project, "invoke", "init", "--yes", "--no-lock")
    assert adopted.returncode == 0, adopted.stderr
    assert run(project, "invoke", "release").stdout.endswith("released\n")


def test_a_document_is_no_consent(project: Path) -> None:
    refused = run(project, "invoke", "init", "--json")
    assert refused.returncode == 2
    assert "no terminal to ask on" in refused.stdout
    assert not (project / "scripts").exists()


def test_a_hidden_task_is_neither_listed_nor_run(project: Path) -> None:
    (project / "tasks.py").write_text(SNIPPETS["hiding"])
    assert "rollback" not in run(project, "invoke", "--list").stdout
    assert run(project, "invoke", "rollback", "--env", "x").returncode == 2


def test_an_added_session_runs_beside_handrails(project: Path) -> None:
    (project / "noxfile.py").write_text(SNIPPETS["session"])
    listed = run(project, "nox", "--list").stdout
    assert "docs" in listed
    assert "tests-3.1" in listed
    done = run(project, "nox", "-s", "docs")
    assert done.returncode == 0, done.stderr
    assert "documentation" in done.stdout + done.stderr


def test_a_script_without_a_project_says_what_it_is_for(tmp_path: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "handrail", "--list"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "init" in done.stdout
