"""Which host keys are trusted: those of known_hosts files, and of the variable that stands for such a file in CI.

Files are read as ssh reads them: a line that makes no sense is passed over, since a file is written by many hands and
one damaged line may not keep its owner from all hosts. A key that is passed over is one that is not trusted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from handrail.errors import PreflightError

KNOWN_HOSTS_VARIABLE = "DEPLOY_KNOWN_HOSTS"
REVOKED = "@revoked"


def trust(keys: Any, name: str, paths: Sequence[Path]) -> frozenset[bytes]:
    """Add to Paramiko's ``HostKeys`` what is trusted for this name; return the keys that are marked ``@revoked``.

    Args:
        name: as known_hosts files write it: ``host``, or ``[host]:port`` where the port is not 22.
        paths: known_hosts files; of two keys of one kind the first one counts.

    Raises:
        PreflightError: a line of the variable makes no sense.
        OSError: a file cannot be read.
    """
    import paramiko

    files = [_read(str(path), facts.st_mtime_ns, facts.st_size) for path in paths if (facts := _facts_of(path))]
    given = _given()
    revoked = frozenset(key for _, of_one in [*files, given] for key in of_one)

    def good(entries: list[Any]) -> list[Any]:
        return [entry for entry in entries if entry.key.asbytes() not in revoked] if revoked else entries

    known = paramiko.HostKeys()
    known._entries = good([entry for of_file, _ in files for entry in of_file])
    for kind, key in (known.lookup(name) or {}).items():
        keys.add(name, kind, key)
    for entry in good(given[0]):
        for other in entry.hostnames:
            keys.add(other, entry.key.get_name(), entry.key)
    return revoked


def _facts_of(path: Path) -> os.stat_result | None:
    return path.stat() if path.is_file() else None


@lru_cache(maxsize=16)
def _read(path: str, _changed: int, _size: int) -> tuple[list[Any], set[bytes]]:
    """Return a file's entries and revoked keys, read once: a hundred hosts have a hundred lines or more in it."""
    entries: list[Any] = []
    revoked: set[bytes] = set()
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        _take(line, entries, revoked)
    return entries, revoked


def _take(line: str, entries: list[Any], revoked: set[bytes]) -> bool:
    """Add what a line says to the entries or to the revoked keys; return whether it says something."""
    line = line.lstrip()
    entry = _entry(line.removeprefix(REVOKED))
    if entry and line.startswith(REVOKED):
        # For whichever host it says so: nobody goes on using for one what was given up for another.
        revoked.add(entry.key.asbytes())
    elif entry:
        entries.append(entry)
    return entry is not None


def _entry(line: str) -> Any:
    """Return what a line of a known_hosts file says, or None where it says nothing that can be used."""
    from paramiko.hostkeys import HostKeyEntry, HostKeys

    words = line.split()[:3]
    # @cert-authority signs keys, which Paramiko cannot check.
    if len(words) < 3 or words[0].startswith(("#", "@")):
        return None
    try:
        entry = HostKeyEntry.from_line(" ".join(words))
        for name in entry.hostnames if entry else ():
            if name.startswith("|"):
                HostKeys.hash_host("", name)
    except Exception:
        # What a damaged key or hash makes Paramiko and its libraries raise is of many kinds, and named nowhere.
        return None
    return entry if entry and entry.key is not None else None


def _given() -> tuple[list[Any], set[bytes]]:
    """Return what the variable ``DEPLOY_KNOWN_HOSTS`` holds, as `_read`: it was written for this, so all must be right.

    Raises:
        PreflightError: names the first line that is not.
    """
    entries: list[Any] = []
    revoked: set[bytes] = set()
    for number, line in enumerate(os.environ.get(KNOWN_HOSTS_VARIABLE, "").splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#") and not _take(line, entries, revoked):
            raise PreflightError(
                f"{KNOWN_HOSTS_VARIABLE}: line {number} is no line of a known_hosts file",
                next_step="ssh-keyscan HOST prints such lines; compare the fingerprint before you trust one",
            )
    return entries, revoked
