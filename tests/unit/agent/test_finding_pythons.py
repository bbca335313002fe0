"""Where the agent looks for a host's interpreters."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from handrail.agent import machine

pytestmark = pytest.mark.unit


def program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_first_on_the_path_wins_and_version_managers_come_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = program(tmp_path / "first" / "python3.37")
    program(tmp_path / "second" / "python3.37")
    second = program(tmp_path / "second" / "python3.38")
    older = program(tmp_path / ".pyenv" / "versions" / "3.39.1" / "bin" / "python3.39")
    newer = program(tmp_path / ".pyenv" / "versions" / "3.39.2" / "bin" / "python3.39")
    (tmp_path / "same").symlink_to("first")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    monkeypatch.setenv("PATH", ":".join(str(tmp_path / name) for name in ("first", "same", "nowhere", "second")))

    found = machine.find_pythons()
    assert (found["3.37"], found["3.38"], found["3.39"]) == (first, second, newer)
    assert found["{}.{}".format(*sys.version_info[:2])] == sys.executable
    assert older != newer


def test_a_folder_that_is_there_under_two_names_is_looked_through_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "usr" / "python3.38")
    (tmp_path / "bin").symlink_to("usr")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}/usr:{tmp_path}/bin")
    asked: list[str] = []
    monkeypatch.setattr(machine.os.path, "isfile", lambda path: bool(asked.append(path)))
    machine.find_pythons()
    assert [path for path in asked if path.endswith("python3.38") and str(tmp_path) in path] == [
        f"{tmp_path}/usr/python3.38"
    ]
