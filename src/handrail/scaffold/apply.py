"""Writing a plan: all of it or nothing."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable
from pathlib import Path

from handrail.errors import TaskFailedError
from handrail.scaffold.plan import Change
from handrail.writing import write_whole


def write_changes(root: Path, changes: Iterable[Change]) -> None:
    """Write every change, each in one step; where one fails or is interrupted, all files are as before.

    Raises:
        TaskFailedError: a file could not be written.
    """
    begun: list[Change] = []
    made: list[Path] = []
    try:
        for change in changes:
            begun.append(change)
            made += _make_folders((root / change.path).parent)
            _write(root, change.path, change.after, executable=change.executable)
    except BaseException as error:
        for change in reversed(begun):
            with contextlib.suppress(OSError):
                _take_back(root, change)
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        if not isinstance(error, OSError):
            raise
        why = (error.strerror or str(error)).lower()
        raise TaskFailedError(
            f"{begun[-1].path} could not be written: {why}; nothing was changed",
            next_step="mend that, then run it again",
        ) from None


def _write(root: Path, name: str, text: str, *, executable: bool = False) -> None:
    path = _place(root, name)
    mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
    write_whole(path, text.encode("utf-8", "surrogateescape"), mode=mode | 0o111 if executable else mode)


def _place(root: Path, name: str) -> Path:
    """Return where ``name`` is: a symbolic link stays one, and what it leads to is written."""
    place = (root / name).resolve()
    if not place.is_relative_to(root.resolve()):
        raise OSError(errno.EXDEV, "it is a symbolic link out of the project")
    return place


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it; return the new ones, the outermost first."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def _take_back(root: Path, change: Change) -> None:
    if change.before is None:
        _place(root, change.path).unlink()
    else:
        _write(root, change.path, change.before)
