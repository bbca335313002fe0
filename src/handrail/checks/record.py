"""The record of ``inv check``: what a deploy asks before it ships a commit.

One JSON file a commit, ``.handrail/checks/<commit>.json``. Only a run over a clean tree writes it; a run with
uncommitted changes writes ``<commit>.dirty.json`` and so can neither make nor unmake a green record.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from handrail.errors import PreflightError

FOLDER = ".handrail/checks"
FORMAT = 1
_AGAIN = "run inv check on that commit, or deploy with --unsafe-untested"


@dataclass(frozen=True)
class CheckRecord:
    """What ``inv check`` found.

    Attributes:
        commit: full sha of the commit that was checked.
        dirty: whether the tree differed from it at the start or at the end.
        bundles: digests of the bundles built from it, one for each Python that an environment asks for.
        verdicts: name, state (``passed``, ``failed``, ``not run``) and seconds of each check, in order.
        pythons: state for each version of the matrix.
        started: when it began and ``finished``: when it ended, as ISO 8601 in UTC.
    """

    commit: str
    dirty: bool
    bundles: list[str]
    verdicts: list[dict[str, Any]]
    pythons: dict[str, str]
    started: str
    finished: str
    format: int = field(default=FORMAT)

    def problems(self) -> list[str]:
        """Return why this record is not green; nothing when it is."""
        found = ["the tree had uncommitted changes"] if self.dirty else []
        if not self.verdicts:
            found.append("nothing was checked")
        found += [f"{verdict['name']}: {verdict['state']}" for verdict in self.verdicts if verdict["state"] != "passed"]
        return found


def record_path(root: Path, commit: str, *, dirty: bool = False) -> Path:
    """Return where the record of ``commit`` stands."""
    return root / FOLDER / (f"{commit}.dirty.json" if dirty else f"{commit}.json")


def write_record(root: Path, record: CheckRecord) -> Path:
    """Write ``record`` in one step, so that a reader never sees half of it; return its path."""
    path = record_path(root, record.commit, dirty=record.dirty)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".record-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(record), file, indent=2, ensure_ascii=False)
        file.write("\n")
    Path(name).replace(path)
    return path


def read_record(root: Path, commit: str) -> CheckRecord | None:
    """Return the record of ``commit``; None when there is none, or none that can be read."""
    try:
        data = json.loads(record_path(root, commit).read_text("utf-8"))
        if data["format"] != FORMAT:
            return None
        return CheckRecord(
            commit=str(data["commit"]),
            dirty=data["dirty"] is not False,
            bundles=_texts(data["bundles"]),
            verdicts=[_verdict(verdict) for verdict in data["verdicts"]],
            pythons={str(version): str(state) for version, state in dict(data["pythons"]).items()},
            started=str(data["started"]),
            finished=str(data["finished"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def require_green(root: Path, commit: str, bundle_digest: str) -> None:
    """Refuse unless ``inv check`` was green for ``commit`` and built the bundle with this digest.

    Args:
        commit: full sha.
        bundle_digest: of the bundle that is to be deployed; empty: only the commit is asked for.

    Raises:
        PreflightError: says what is missing.
    """
    if not commit:
        raise PreflightError(
            "this environment asks for a checked commit, and the project has none",
            next_step="git commit, then inv check",
        )
    short = commit[:12]
    record = read_record(root, commit)
    if record is None:
        with_changes = record_path(root, commit, dirty=True).is_file()
        why = ": inv check ran only with uncommitted changes" if with_changes else ""
        raise PreflightError(f"commit {short} has no record of inv check{why}", step="check", next_step=_AGAIN)
    problems = record.problems()
    if record.commit != commit:
        problems.insert(0, f"it is of commit {record.commit[:12]}")
    if bundle_digest and bundle_digest not in record.bundles:
        built = ", ".join(digest[:12] for digest in record.bundles) or "none"
        problems.append(f"bundle {bundle_digest[:12]} was not built by it (it built {built})")
    if problems:
        raise PreflightError(
            f"the record of inv check for commit {short} is not green: {'; '.join(problems)}",
            step="check",
            next_step=_AGAIN,
        )


def _texts(values: Sequence[Any]) -> list[str]:
    if not isinstance(values, list):
        raise TypeError("expected a list")
    return [str(value) for value in values]


def _verdict(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": str(value["name"]), "state": str(value["state"]), "seconds": float(value["seconds"])}
