"""Writing a plan: all of it or nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from handrail.errors import TaskFailedError
from handrail.scaffold.plan import Change


def write_changes(root: Path, changes: Iterable[Change]) -> None:
    """Write every change, each in one step; where one fails, all files are as before.

    Raises:
        TaskFailedError: a file could not be written.
    """
    done: list[Change] = []
    made: list[Path] = []
    for change in changes:
        try:
            made += _make_folders((root / change.path).parent)
            _write(root, change.path, change.after, executable=change.executable)
        except OSError as error:
            for other in reversed(done):
                with contextlib.suppress(OSError):
                    _take_back(root, other)
            for folder in reversed(made):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            raise TaskFailedError(
                f"{change.path} could not be written: {(error.strerror or str(error)).lower()}; nothing was changed",
                next_step="mend that, then run it again",
            ) from None
        done.append(change)


def _write(root: Path, name: str, text: str, *, executable: bool = False) -> None:
    path = root / name
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_bytes(text.encode("utf-8", "surrogateescape"))
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
        draft.chmod(mode | 0o111 if executable else mode)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it; return the new ones, the outermost first."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def _take_back(root: Path, change: Change) -> None:
    if change.before is None:
        (root / change.path).unlink()
    else:
        _write(root, change.path, change.before)
