"""Real projects, as their authors published them, and the wheel of this repository that they adopt."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import tomlkit

ROOT = Path(__file__).resolve().parents[3]
UV = [sys.executable, "-m", "uv"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository's wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*UV, "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture
def unpack(tmp_path: Path) -> Callable[[str, str, Path], Path]:
    """Get one sdist from the package index, unpack it, and return its folder."""

    def get(requirement: str, sha256: str, cache: Path) -> Path:
        archive = cache / f"{sha256}.tar.gz"
        if not archive.is_file():
            archive.write_bytes(_fetched(requirement, cache))
        assert hashlib.sha256(archive.read_bytes()).hexdigest() == sha256, requirement
        with tarfile.open(archive) as members:
            members.extractall(tmp_path / "unpacked", filter="data")
        return next((tmp_path / "unpacked").iterdir())

    return get


def _fetched(requirement: str, cache: Path) -> bytes:
    """Return the bytes of an sdist: uv finds it, in whichever index it is told to use, without building anything."""
    wanted = cache / "wanted.in"
    wanted.write_text(f"{requirement}\n")
    found = cache / "pylock.toml"
    argv = [*UV, "pip", "compile", "--quiet", "--no-deps", "--no-header", "--format", "pylock.toml"]
    subprocess.run([*argv, "--output-file", str(found), str(wanted)], check=True, env=dict(os.environ))
    sdist = tomlkit.loads(found.read_text("utf-8"))["packages"][0]["sdist"]
    with urllib.request.urlopen(sdist["url"], timeout=60) as answer:
        return bytes(answer.read())
