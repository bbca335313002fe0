"""A cancelled CI job sends SIGTERM: a task ends in order, and so does what it has started."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from handrail.testing.host import wait_until

pytestmark = pytest.mark.unit

TASKS = """
import os
import sys
from pathlib import Path

import handrail
from handrail.commands import Runner
from handrail.tasks.base import task

CHILD = "import os, pathlib, time; pathlib.Path('child').write_text(str(os.getpid())); time.sleep(60)"


@task(group="check", example="inv long")
def long(c):
    Runner().run([sys.executable, "-c", CHILD])


namespace = handrail.collection(globals())
"""


def is_alive(pid: int) -> bool:
    return subprocess.run(["kill", "-0", str(pid)], capture_output=True).returncode == 0


def test_sigterm_ends_a_task_and_its_command(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "pyproject.toml").write_text('[tool.handrail]\napp = "shop"\n')
    child = tmp_path / "child"
    process = subprocess.Popen(
        [sys.executable, "-m", "invoke", "long"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    pid = int(wait_until(lambda: child.exists() and child.read_text(), "the command to run", 30))
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in error
    assert "Traceback" not in error
    wait_until(lambda: not is_alive(pid), "the command to end", 10)
