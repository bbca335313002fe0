"""A file is written in one step, or not at all."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from handrail.commands import Runner
from handrail.diagnosis import Addition, Diagnosis, Replacement
from handrail.doctor.mending import mend
from handrail.setup.dotenv_file import make_dotenv
from handrail.setup.editor import write_editor_settings
from handrail.writing import write_whole

pytestmark = pytest.mark.unit

EDITOR = ".vscode/settings.json"
OLD = {EDITOR: '{"editor.tabSize": 3}', ".gitignore": "dist/\n", "hooks.yaml": "rev: v1.0\n"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {**OLD, "env/example.env": "# secret: no\nTITLE=Shop\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@contextmanager
def full_disk() -> Iterator[None]:
    """Let the kernel refuse each byte that this process writes into a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def all_files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("write", [write_editor_settings, make_dotenv], ids=["editor", ".env"])
def test_a_full_disk_leaves_a_users_files_as_they_were(root: Path, write: Callable[[Path], str]) -> None:
    before = all_files(root)
    with full_disk(), pytest.raises(OSError, match="File too large"):
        write(root)
    assert all_files(root) == before
    assert "kept" not in write(root)


def test_a_full_disk_leaves_what_doctor_would_mend_as_it_was(root: Path) -> None:
    before = all_files(root)
    repairs = (Addition(".gitignore", ".env"), Replacement("hooks.yaml", 1, "v1.0", "v2.0"))
    with full_disk():
        done, failed = mend(root, [Diagnosis("x", "error", "m", repair=each) for each in repairs], Runner())
    assert (done, len(failed)) == ([], 2)
    assert all_files(root) == before


def test_a_file_keeps_its_mode_and_its_link(root: Path) -> None:
    (root / "hooks.yaml").chmod(0o755)
    (root / "link.yaml").symlink_to("hooks.yaml")
    write_whole(root / "link.yaml", b"new\n")
    write_whole(root / "secret", b"new\n", mode=0o600)
    write_whole(root / "other", b"new\n")
    assert (root / "link.yaml").is_symlink()
    assert (root / "hooks.yaml").read_bytes() == b"new\n"
    assert [(root / name).stat().st_mode & 0o777 for name in ("hooks.yaml", "secret", "other")] == [0o755, 0o600, 0o644]
    assert not list(root.glob(".*.tmp"))


def test_a_files_content_is_on_the_disk_before_it_has_its_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bytes, bytes]] = []

    def fsync(fd: int) -> None:
        seen.append((Path(f"/proc/self/fd/{fd}").read_bytes(), (root / "hooks.yaml").read_bytes()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_whole(root / "hooks.yaml", b"new\n")
    assert seen == [(b"new\n", OLD["hooks.yaml"].encode())]


def test_a_contract_that_cannot_be_read_leaves_no_empty_dotenv(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object) -> str:
        raise OSError("no")

    monkeypatch.setattr("handrail.setup.dotenv_file.read_text", refusing)
    with pytest.raises(OSError, match="no"):
        make_dotenv(root)
    assert not (root / ".env").exists()
