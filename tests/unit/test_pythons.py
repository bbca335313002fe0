from __future__ import annotations

from pathlib import Path

import pytest

from handrail.commands import Runner
from handrail.pythons import add_to_path, candidates, find_pythons, how_to_get

pytestmark = pytest.mark.unit


def interpreter(path: Path, answer: str) -> Path:
    """Write a program that answers as an interpreter would, or refuses as a shim does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(0o755)
    return path


def found(home: Path, path: str = "") -> dict[str, Path]:
    return find_pythons(["3.9"], Runner(), {"HOME": str(home), "PATH": path})


def test_an_interpreter_of_pyenv_is_found_though_its_shim_refuses(tmp_path: Path) -> None:
    interpreter(tmp_path / "shims" / "python3.9", "echo 'pyenv: python3.9: command not found' >&2; exit 127")
    real = interpreter(tmp_path / ".pyenv/versions/3.9.18/bin/python3.9", "echo CPython 3.9")
    assert found(tmp_path, str(tmp_path / "shims")) == {"3.9": real}


def test_the_newest_patch_release_wins(tmp_path: Path) -> None:
    interpreter(tmp_path / ".pyenv/versions/3.9.9/bin/python3.9", "echo CPython 3.9")
    newest = interpreter(tmp_path / ".pyenv/versions/3.9.18/bin/python3.9", "echo CPython 3.9")
    assert next(candidates("3.9", {"HOME": str(tmp_path)})) == newest


def test_an_interpreter_of_uv_is_found(tmp_path: Path) -> None:
    name = "cpython-3.9.20-linux-x86_64-gnu/bin/python3.9"
    real = interpreter(tmp_path / ".local/share/uv/python" / name, "echo CPython 3.9")
    assert found(tmp_path) == {"3.9": real}


def test_a_program_that_says_another_version_is_passed_over(tmp_path: Path) -> None:
    interpreter(tmp_path / "bin" / "python3.9", "echo CPython 3.8")
    good = interpreter(tmp_path / "other" / "python3.9", "echo CPython 3.9")
    assert found(tmp_path, f"{tmp_path / 'bin'}:{tmp_path / 'other'}") == {"3.9": good}


def test_an_interpreter_that_is_not_there_is_missing_and_how_to_get_it_is_known(tmp_path: Path) -> None:
    assert find_pythons(["3.99"], Runner(), {"HOME": str(tmp_path), "PATH": ""}) == {}
    assert "uv python install 3.99" in how_to_get("3.99")


def test_found_interpreters_go_to_the_end_of_path_once() -> None:
    pythons = {"3.9": Path("/a/python3.9"), "3.8": Path("/a/python3.8"), "3.7": Path("/usr/bin/python3.7")}
    assert add_to_path(pythons, "/usr/bin:/bin") == "/usr/bin:/bin:/a"
