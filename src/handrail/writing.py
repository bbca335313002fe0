"""Writing a file in one step: with a full disk, or when the power goes, the old one is still there."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Put ``data`` where ``path`` is; nobody sees half of it. A symbolic link stays one: what it leads to is written.

    Args:
        mode: the file's permissions; without them those of the file that is there, and 0644 for a new one. What is
            written was never readable by more people than that.

    Raises:
        OSError: it could not be written; what was there is as before.
    """
    place = path.resolve()
    draft = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    if mode is None:
        mode = place.stat().st_mode & 0o7777 if place.exists() else 0o644
    try:
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(mode)
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)
