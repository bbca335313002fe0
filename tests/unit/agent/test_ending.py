"""What is to end on a host and goes on: who asked for it is told."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.agent.activating import retire
from handrail.agent.app import App
from handrail.agent.leaving import leave
from handrail.agent.preflight import ending_problems
from handrail.agent.refusal import Refused
from handrail.agent.workers import bring, installed_workers, write_workers

pytestmark = pytest.mark.unit

# Allows what its file names, and does nothing.
SUDO = """\
#!/bin/sh
shift
[ "$1" = -l ] && shift
grep -qxF "$*" "$ALLOWED" || { echo "sudo: a password is required"; exit 1; }
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> App:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sudo").write_text(SUDO)
    (programs / "sudo").chmod(0o755)
    (tmp_path / "allowed").write_text("end worker\n")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("ALLOWED", str(tmp_path / "allowed"))
    app = App(str(tmp_path), "shop")
    app.make_folders()
    Path(app.release("1-a", ".handrail")).mkdir(parents=True)
    app.switch("1-a")
    return app


def spec(tmp_path: Path, name: str, pid: int = 0, **facts: Any) -> dict[str, Any]:
    path = tmp_path / f"{name}.unit"
    path.write_text("")
    return {
        "name": f"shop-{name}", "process": name, "retire": [["sudo", "-n", "end", name]], "forget": [], "port": 1,
        "files": [{"path": str(path), "content": "", "mode": 0o644}], "pid": ["echo", str(pid)], **facts,
    }  # fmt: skip


def test_a_process_that_goes_on_is_no_longer_wanted_and_still_remembered(app: App, tmp_path: Path) -> None:
    queue = spec(tmp_path, "queue", pid=4711)
    write_workers(app, {"shop-queue": queue})
    with pytest.raises(Refused, match="shop-queue does not end: `sudo -n end queue` exited with 1") as refused:
        bring(app, {}, "1-a")
    assert refused.value.facts["lines"] == ["sudo: a password is required"]
    assert list(installed_workers(app)) == ["shop-queue"]
    bring_to_an_end = spec(tmp_path, "worker")
    write_workers(app, {"shop-worker": bring_to_an_end})
    bring(app, {}, "1-a")
    assert installed_workers(app) == {}


def test_what_would_start_again_with_the_host_is_told(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = spec(tmp_path, "worker")
    worker["files"][0]["root"] = True
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    write_workers(app, {"shop-worker": worker})
    with pytest.raises(Refused, match="shop-worker would start again with the host: `sudo -n rm -f"):
        bring(app, {}, "1-a")


def test_a_host_that_is_retired_and_an_old_instance_are_looked_at_too(app: App, tmp_path: Path) -> None:
    web = spec(tmp_path, "web", pid=4711)
    agent: Any = SimpleNamespace(app=app, lock_fd=0, joined="")
    with pytest.raises(Refused, match="shop-web does not end"):
        leave(agent, {"service": web, "by": {}}, b"")
    blue = spec(tmp_path, "blue", pid=4712)
    request = {"service": {**web, "strategy": "blue-green", "slots": {"blue": blue}}, "drain": 0}
    with pytest.raises(Refused, match="shop-blue does not end"):
        retire(agent, request, b"")


def test_a_deploy_knows_before_it_begins_that_it_may_not_end_what_is_no_longer_declared(
    app: App, tmp_path: Path
) -> None:
    both = {f"shop-{name}": spec(tmp_path, name) for name in ("queue", "worker")}
    write_workers(app, both)
    assert ending_problems(app, both) == []
    (problem,) = ending_problems(app, {"shop-worker": both["shop-worker"]})
    assert problem == (
        "shop-queue is to end, and this user may not run `sudo -n end queue` here: inv host.setup allows it"
    )
    elsewhere = {**both["shop-queue"], "here": False}
    assert ending_problems(app, {"shop-queue": elsewhere}) == [problem]
    assert ending_problems(app, {"shop-queue": both["shop-queue"]}) == [], "the other one may be ended"
