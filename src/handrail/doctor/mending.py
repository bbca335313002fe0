"""Carrying out repairs (``--fix``): each is small, shown, and done only where the file is still what was looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.diagnosis import Addition, Command, Diagnosis, ModeChange, Replacement
from handrail.errors import HandrailError, TaskFailedError
from handrail.writing import write_whole

if TYPE_CHECKING:
    from handrail.commands import Runner


def mend(root: Path, findings: Sequence[Diagnosis], runner: Runner) -> tuple[list[str], list[str]]:
    """Carry out what the findings carry; return (what was done, what could not be), each as sentences."""
    done: list[str] = []
    failed: list[str] = []
    for repair in dict.fromkeys(finding.repair for finding in findings if finding.repair):
        try:
            if isinstance(repair, Replacement):
                _replace(root, repair)
            elif isinstance(repair, Addition):
                _add(root, repair)
            elif isinstance(repair, ModeChange):
                (root / repair.file).chmod(repair.mode)
            elif isinstance(repair, Command):
                runner.run(list(repair.argv), cwd=root)
        except UnicodeDecodeError:
            failed.append(f"{repair.sentence}: the file is not UTF-8 text; change it by hand")
        except (HandrailError, OSError) as error:
            failed.append(f"{repair.sentence}: {error}")
        else:
            done.append(repair.sentence)
    return done, failed


def _replace(root: Path, repair: Replacement) -> None:
    path = root / repair.file
    # Bytes: line ends stay what they are.
    lines = path.read_bytes().decode("utf-8").splitlines(keepends=True)
    line = lines[repair.line - 1] if repair.line <= len(lines) else ""
    if line.count(repair.old) != 1:
        raise TaskFailedError(f"{repair.old} does not stand there exactly once; change it by hand")
    lines[repair.line - 1] = line.replace(repair.old, repair.new)
    write_whole(path, "".join(lines).encode("utf-8"))


def _add(root: Path, repair: Addition) -> None:
    path = root / repair.file
    # Bytes: what stands there may be in any encoding.
    text = path.read_bytes() if path.exists() else b""
    end = b"\r\n" if b"\r\n" in text else b"\n"
    gap = end if text and not text.endswith(b"\n") else b""
    write_whole(path, b"".join([text, gap, repair.text.encode("utf-8"), end]))
