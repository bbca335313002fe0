"""``.handrail/cache``: what a build keeps so that the next one needs neither index nor network.

Wheels are kept one folder a requirement, named by the digest of everything that chose the wheel (the locked line with
its hashes, Python, platform). A folder appears by one rename, so it is whole or not there; each use looks whether
the wheel is still the one that was stored.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from handrail.build.bundle import Member

_FACTS = "wheel.json"
# Part of every key: raise it when the meaning of what is stored changes.
_GENERATION = "1"


def cache_folder(root: Path) -> Path:
    """Return ``.handrail/cache`` of a project, made where it is missing and kept out of git."""
    folder = root / ".handrail" / "cache"
    if not (folder / ".gitignore").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="ascii")
    return folder


def cache_key(*parts: str) -> str:
    """Return a name for what these parts determine."""
    text = json.dumps([_GENERATION, *parts])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


class WheelCache:
    """Wheels by the key of what chose them."""

    def __init__(self, root: Path) -> None:
        self._folder = cache_folder(root) / "wheels"
        self._folder.mkdir(exist_ok=True)

    def find(self, key: str, kind: str = "wheel") -> Member | None:
        """Return the stored wheel as a member, or None where there is none or it was damaged."""
        place = self._folder / key
        is_there = place.exists()
        try:
            facts = json.loads((place / _FACTS).read_text(encoding="utf-8"))
            wheel = place / str(facts["file"])
            state = wheel.stat()
            # Reading all wheels again at each build would cost more than the rest of it.
            if [state.st_size, state.st_mtime_ns] != facts["state"] and digest_file(wheel) != facts["sha256"]:
                raise ValueError("damaged")
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            # What is only half there would be in the way of the whole; what came since is another build's, and whole.
            if is_there:
                shutil.rmtree(place, ignore_errors=True)
            return None
        return Member(kind, wheel.name, facts["sha256"], state.st_size, 0o644, source=wheel)

    def store(self, key: str, wheel: Path) -> None:
        """Take a wheel, which is moved, under a key."""
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="tmp-", ignore_cleanup_errors=True) as name:
            work = Path(name) / "entry"
            work.mkdir()
            kept = work / wheel.name
            shutil.move(wheel, kept)
            state = kept.stat()
            facts = {
                "file": wheel.name,
                "sha256": digest_file(kept),
                "state": [state.st_size, state.st_mtime_ns],
            }
            (work / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
            place = self._folder / key
            with suppress(OSError):  # another build was faster: its entry is as good
                work.rename(place)


class LockCache:
    """Resolved requirement texts by the key of what they were resolved from."""

    def __init__(self, root: Path) -> None:
        self._folder = cache_folder(root) / "locks"
        self._folder.mkdir(exist_ok=True)

    def find(self, key: str) -> str | None:
        """Return the stored text, or None."""
        try:
            return (self._folder / f"{key}.txt").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def store(self, key: str, text: str) -> None:
        """Store a text, whole or not at all."""
        with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False, encoding="utf-8") as stream:
            stream.write(text)
        Path(stream.name).replace(self._folder / f"{key}.txt")


def file_parts(paths: Iterable[Path]) -> list[str]:
    """Return the contents of files as parts of a key; a missing one is ``""``."""
    return [digest_file(path) if path.is_file() else "" for path in paths]


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """Return those of ``paths`` that are still there, the last changed one first."""
    times = {}
    for path in paths:
        with suppress(FileNotFoundError):  # another build has thrown it away
            times[path] = path.stat().st_mtime_ns
    return sorted(times, key=times.__getitem__, reverse=True)


def digest_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
