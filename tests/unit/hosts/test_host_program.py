"""What runs on the host: actions that leave alone what is right, and the line of shell before them."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.agent.refusal import Refused
from handrail.hosts.program import doing, looking
from handrail.hosts.session import gate
from handrail.hosts.steps import folder, run, unlink, write

pytestmark = pytest.mark.unit


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.setattr(doing, "LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr(doing, "PATIENCE", 0.0)
    events: list[dict[str, Any]] = []
    return SimpleNamespace(lock_fd=None, stop=threading.Event(), event=lambda **e: events.append(e), events=events)


def do(program: SimpleNamespace, *actions: dict[str, Any]) -> dict[str, Any]:
    done: dict[str, Any] = doing.do(program, {"steps": [{"name": "one", "actions": list(actions)}]}, b"")
    return done


def test_a_file_that_is_right_keeps_its_time_and_another_one_is_replaced(program, tmp_path: Path) -> None:
    path = tmp_path / "file"
    do(program, write(str(path), "a", 0o640))
    assert path.stat().st_mode & 0o777 == 0o640
    os.utime(path, (1, 1))
    do(program, write(str(path), "a", 0o640))
    assert path.stat().st_mtime == 1
    do(program, write(str(path), "b", 0o600))
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("b", 0o600)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "lock"]


def test_a_file_that_does_not_pass_its_check_is_never_there(program, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(Refused) as caught:
        do(program, write(str(path), "new", check=["grep", "-x", "old", "{}"]))
    assert caught.value.facts["step"] == "one"
    assert caught.value.facts["command"] == f"grep -x old {path}"
    assert path.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "lock"]
    do(program, write(str(path), "new", check=["grep", "-q", "new", "{}"]))
    assert path.read_text() == "new"


def test_a_folder_and_its_absence(program, tmp_path: Path) -> None:
    do(program, folder(str(tmp_path / "a" / "b"), 0o700, owner=getpass.getuser()), unlink(str(tmp_path / "none")))
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_failed_command_is_told_with_its_last_lines(program) -> None:
    with pytest.raises(Refused, match="exited with 3") as caught:
        do(program, run("sh", "-c", "echo why; exit 3"))
    assert caught.value.facts["lines"] == ["why"]
    assert do(program, run("sh", "-c", "echo why; exit 3", may_fail=True)) == {"failed": {"one": ["why"]}}


def test_nothing_is_begun_once_the_client_is_gone(program, tmp_path: Path) -> None:
    program.stop.set()
    with pytest.raises(Refused, match="stopped before"):
        do(program, write(str(tmp_path / "file"), "a"))
    assert not (tmp_path / "file").exists()


def test_two_people_cannot_set_up_a_host_at_once(program, tmp_path: Path) -> None:
    do(program)
    second = SimpleNamespace(lock_fd=None, stop=threading.Event(), event=lambda **_: None)
    with pytest.raises(Refused, match="somebody else"):
        do(second)


def test_looking_gives_facts_on_any_machine(tmp_path: Path) -> None:
    request = {"user": "nobody-here", "root": "~/apps", "app": "shop", "python": "3.11", "packages": ["caddy"]}
    request |= {"programs": ["sh"], "units": ["caddy"], "files": [str(tmp_path / "none")], "links": []}
    facts = looking.look(None, request, b"")
    assert facts["account"] is None
    assert facts["folder"] == "/home/nobody-here/apps/shop"
    assert facts["programs"]["sh"]
    assert facts["files"] == {str(tmp_path / "none"): None}


@pytest.mark.parametrize(
    ("programs", "answer"),
    [
        ({"id": "echo 1000"}, "HANDRAIL-HOST no-root"),
        ({"id": "echo 1000", "sudo": "exit 0"}, "become: sudo -n"),
        ({"id": "echo 0"}, "become: "),
        ({"id": "echo 0", "python3": "exit 1"}, "HANDRAIL-HOST old-python"),
    ],
)
def test_the_line_of_shell_says_what_is_in_the_way(programs: dict[str, str], answer: str, tmp_path: Path) -> None:
    if not Path("/etc/debian_version").exists():
        pytest.skip("NOT RUN: it asks /etc/os-release, and this is no Debian")
    for name, text in {"python3": "exit 0", "sudo": "exit 1", **programs}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    done = subprocess.run(
        ["sh", "-c", gate('echo "become: $root"')], capture_output=True, text=True, check=True, env={"PATH": path}
    )
    assert done.stdout.strip().startswith(answer.strip())
    assert done.stderr == ""


def test_the_processes_of_all_releases_are_known_whatever_their_files_hold(tmp_path: Path) -> None:
    def holds(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    worker = {"process": "worker", "manager": "systemd", "start": [["sudo", "-n", "sh"]]}
    nightly = {"process": "nightly", "manager": "systemd", "schedule": "@daily"}
    holds(tmp_path / "processes.json", json.dumps({"shop-worker@1": worker, "shop-worker@2": worker}))
    holds(tmp_path / "releases" / "1-a" / ".handrail" / "processes.json", json.dumps({"shop-nightly": nightly}))
    for number, text in enumerate(["", "{", "[1]", '{"x": 1}', '{"x": {}}'], 2):
        holds(tmp_path / "releases" / f"{number}-a" / ".handrail" / "processes.json", text)
    assert looking.known_processes(str(tmp_path)) == [("nightly", "systemd", True), ("worker", "systemd", False)]
    assert looking.known_processes(str(tmp_path / "none")) == []


def test_a_file_is_read_whole_or_not_at_all(program, tmp_path: Path) -> None:
    path = tmp_path / "authorized_keys"
    path.write_text("x" * looking.MOST)
    assert looking.read_text(str(path)) == "x" * looking.MOST
    path.write_text("x" * (looking.MOST + 1))
    with pytest.raises(Refused, match=r"authorized_keys is larger than 1024 KiB: shorten it"):
        looking.read_text(str(path))
    with pytest.raises(Refused, match="larger than"):
        do(program, write(str(path), "x\n"))
    assert path.stat().st_size == looking.MOST + 1
    assert looking.read_text(str(tmp_path / "none")) is None
