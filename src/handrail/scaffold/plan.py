"""What would be written, compared with what is there; nothing is changed here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from handrail.config.load import read_text
from handrail.scaffold import blocks
from handrail.scaffold.ledger import Record, digest_of
from handrail.scaffold.write import entry_files, hooks
from handrail.scaffold.write.drafts import Draft
from handrail.scaffold.yaml_list import added_item


@dataclass(frozen=True)
class Change:
    """One file to write; ``before`` is None where there is none yet."""

    path: str
    before: str | None
    after: str
    executable: bool = False

    def diff(self) -> list[str]:
        """Return the unified diff as lines without line ends."""
        old = "/dev/null" if self.before is None else f"a/{self.path}"
        lines = difflib.unified_diff(
            (self.before or "").splitlines(), self.after.splitlines(), old, f"b/{self.path}", lineterm=""
        )
        return list(lines)


@dataclass
class Plan:
    """All changes; ``notes`` are sentences on files that stay as they are; ``records`` is what the ledger will say."""

    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)


def present(root: Path, path: str) -> str | None:
    """Return a file's text; None where there is none.

    Raises:
        ConfigError: it is not UTF-8 text.
    """
    return read_text(root, path) if (root / path).is_file() else None


def plan_drafts(root: Path, drafts: Iterable[Draft], known: dict[str, Record]) -> Plan:
    """Return what the drafts change in ``root``. What is there already stays, whoever wrote it.

    Args:
        known: the ledger's records.
    """
    plan = Plan(records=dict(known))
    for draft in drafts:
        if is_behind_link(root, draft.path):
            plan.notes.append(f"{draft.path} lies behind a symbolic link and is left alone")
            continue
        before = present(root, draft.path)
        if draft.owner == "block":
            _plan_block(plan, draft, before)
        elif before is None:
            plan.changes.append(Change(draft.path, None, draft.text, draft.executable))
            plan.records[draft.path] = Record(draft.owner, _kept_digest(draft))
        elif before == draft.text:
            plan.records.setdefault(draft.path, Record(draft.owner, _kept_digest(draft)))
        elif draft.path not in known:
            plan.records[draft.path] = Record("yours")
            if not _is_ours_already(draft, before):
                plan.notes.append(
                    f"{draft.path} is yours and stays as it is" + (f": {draft.note}" if draft.note else "")
                )
    return plan


def _plan_block(plan: Plan, draft: Draft, before: str | None) -> None:
    found = blocks.find_block(before or "")
    if found is not None:
        plan.records.setdefault(draft.path, Record("block", digest_of(found.inner)))
        return
    after = with_block(draft.path, before or "", draft.text)
    if after is None:
        plan.records[draft.path] = Record("yours")
        plan.notes.append(f"{draft.path} has no plain list `repos:` and stays as it is; add to it:\n{draft.text}")
        return
    written = blocks.find_block(after)
    assert written is not None
    plan.changes.append(Change(draft.path, before, after))
    plan.records[draft.path] = Record("block", digest_of(written.inner))


def with_block(path: str, text: str, inner: str) -> str | None:
    """Return ``text`` with a new block; None where there is no place for it."""
    if path == hooks.FILE:
        return added_item(text, "repos", inner)
    return blocks.appended(text, inner)


def _kept_digest(draft: Draft) -> str:
    return digest_of(draft.text) if draft.owner == "managed" else ""


def _is_ours_already(draft: Draft, text: str) -> bool:
    """Return whether a file of the project's own has what a note would ask for."""
    return draft.path in (entry_files.TASKS, entry_files.NOXFILE) and "import handrail" in text


def is_behind_link(root: Path, path: str) -> bool:
    """Return whether writing ``path`` would follow a symbolic link."""
    place = root / path
    return any(each.is_symlink() for each in (place, *place.parents) if each != root and root in each.parents)
