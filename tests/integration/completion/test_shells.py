"""Tab in a real bash, zsh and fish, typed into a terminal (tmux), in a project with a task of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from handrail.testing.fixtures import report_unavailable

pytestmark = pytest.mark.integration

TASKS = '''import handrail
from invoke import task


@task
def greet(c, name="you", loud=False):
    """Say: hello (politely)."""


namespace = handrail.collection(globals())
'''
PROJECT = """[tool.handrail]
app = "shop"

[tool.handrail.environments.staging]
hosts = ["web1"]
strategy = "rolling"

[tool.handrail.environments.production]
hosts = ["web1"]
"""
SHELLS = {
    "bash": ("bash --norc --noprofile -i", "source ./script"),
    "zsh": ("zsh -f -i", "autoload -Uz compinit && compinit -u -d dump && source ./script"),
    "fish": ("fish --no-config -i", "source ./script"),
}


class Terminal:
    """A shell in a terminal of its own: keys in, the screen out."""

    def __init__(self, folder: Path, command: str) -> None:
        self._tmux = ["tmux", "-f", "/dev/null", "-S", str(folder / "tmux")]
        self._run("new-session", "-d", "-x", "120", "-y", "50", "-c", str(folder), command)

    def press(self, *keys: str) -> None:
        for key in keys:
            self._run("send-keys", *(["-l", "--", key] if key not in ("Tab", "Enter", "C-u") else [key]))

    def wait_for(self, *texts: str) -> str:
        deadline = time.monotonic() + 20
        while True:
            screen = self._run("capture-pane", "-p")
            if all(text in screen for text in texts):
                return screen
            assert time.monotonic() < deadline, f"never showed {texts}:\n{screen}"
            time.sleep(0.05)

    def close(self) -> None:
        self._run("kill-server")

    def _run(self, *words: str) -> str:
        return subprocess.run([*self._tmux, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setenv("TERM", "screen-256color")
    monkeypatch.setenv("LANG", "C.UTF-8")
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    return tmp_path


@pytest.fixture(params=SHELLS)
def terminal(request: pytest.FixtureRequest, project: Path) -> Iterator[Terminal]:
    shell = request.param
    for program in ("tmux", shell):
        if not shutil.which(program):
            report_unavailable(f"{program} is not installed")
    script = subprocess.run(
        ["inv", "completion", shell], cwd=project, check=True, capture_output=True, text=True
    ).stdout
    (project / "script").write_text(script)
    command, load = SHELLS[shell]
    terminal = Terminal(project, command)
    try:
        terminal.press(load, " && echo load''ed", "Enter")
        terminal.wait_for("loaded")
        yield terminal
    finally:
        terminal.close()


def test_tab_completes_tasks_options_and_environments_with_their_help(terminal: Terminal) -> None:
    terminal.press("inv sandbox.", "Tab", "Tab")
    terminal.wait_for("sandbox.up", "Start the embedded host: SSH server, supervisor and Caddy.", "sandbox.status")
    terminal.press("C-u", "inv gr", "Tab")
    terminal.wait_for("inv greet")
    terminal.press("--lo", "Tab")
    terminal.wait_for("inv greet --loud")
    terminal.press("deploy --unsafe", "Tab")
    terminal.wait_for("--unsafe-untested")
    terminal.press("--env ", "Tab", "Tab")
    terminal.wait_for("staging", "rolling", "production", "restart")
    terminal.press("C-u", "inv deploy --env=st", "Tab")
    terminal.wait_for("inv deploy --env=staging")


def test_in_a_project_of_plain_invoke_tab_still_does_what_invoke_can(terminal: Terminal, project: Path) -> None:
    other = project / "other"
    other.mkdir()
    (other / "tasks.py").write_text("from invoke import task\n\n\n@task\ndef polish(c):\n    pass\n")
    terminal.press("cd other", "Enter", "inv pol", "Tab")
    terminal.wait_for("inv polish")
