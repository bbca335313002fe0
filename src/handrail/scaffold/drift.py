"""What became of the files since they were written: by hand, or because Handrail has gone on."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from handrail.errors import UsageError
from handrail.scaffold import blocks
from handrail.scaffold.ledger import FILE, Ledger, Record, digest_of, read_ledger
from handrail.scaffold.plan import Change, is_behind_link, present, with_block
from handrail.scaffold.write.choices import chosen
from handrail.scaffold.write.drafts import Draft
from handrail.scaffold.write.files import managed
from handrail.scaffold.write.ignored import FILE as GITIGNORE


@dataclass
class Drift:
    """What was found.

    Attributes:
        behind: sentences on what ``--update`` brings up to date.
        by_hand: sentences on managed parts that somebody changed, which ``--update`` leaves alone.
        changes: what ``--update`` writes.
        ledger: the ledger after that.
    """

    behind: list[str] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def is_clean(self) -> bool:
        return not self.behind and not self.by_hand


def find_drift(root: Path) -> Drift:
    """Compare ``root`` with its ledger and with what this version of Handrail would write. Needs no network.

    Raises:
        UsageError: ``root`` was not adopted with `handrail init`.
        ConfigError: ``[tool.handrail]`` or the ledger cannot be read.
    """
    from handrail import __version__
    from handrail.config.load import load_project

    ledger = read_ledger(root)
    if not ledger.version:
        raise UsageError(f"there is no {FILE} here: nothing was written by handrail init", next_step="handrail init")
    choices = chosen(load_project(root), ledger)
    drift = Drift()
    files = dict(ledger.files)
    gitignore = blocks.without_block(present(root, GITIGNORE) or "")
    for draft in managed(choices, gitignore):
        record = files.get(draft.path)
        if record is not None and record.owner in ("yours", "seeded"):
            continue
        if is_behind_link(root, draft.path):
            continue  # as init leaves it alone
        written = _compare(root, draft, record, drift)
        if written is not None:
            files[draft.path] = written
    drift.ledger = Ledger(__version__ if drift.changes else ledger.version, ledger.choices, files)
    return drift


def _compare(root: Path, draft: Draft, record: Record | None, drift: Drift) -> Record | None:
    """Note what is wrong with one file; return its record after an update, None where it is not updated."""
    before = present(root, draft.path)
    # Where git checks files out with CRLF they are as they should be; but no script runs with it.
    has_crlf = before is not None and not draft.executable and 0 < before.count("\r\n") == before.count("\n")
    text = before.replace("\r\n", "\n") if before is not None and has_crlf else before
    block = blocks.find_block(text or "") if draft.owner == "block" else None
    now = (block.inner if block else None) if draft.owner == "block" else text
    wanted = _as_indented(draft, now)
    if now == wanted:
        if draft.executable and not os.access(root / draft.path, os.X_OK):
            drift.behind.append(f"{draft.path} is not executable")
            drift.changes.append(Change(draft.path, before, draft.text, executable=True))
        return Record(draft.owner, digest_of(wanted))
    what = f"{draft.path}, Handrail's block" if draft.owner == "block" else draft.path
    if now is None:
        why = "missing"
    elif record is None and draft.owner == "managed":
        drift.by_hand.append(f"{what}: handrail init did not write it, and would write another one")
        return None
    elif record is None or digest_of(now) == record.digest:
        why = "this version of Handrail writes another one"
    else:
        drift.by_hand.append(f"{what}: changed by hand (line {_first_difference(now, wanted)} of it)")
        return None
    after = _after(draft, text, wanted, has_block=block is not None)
    if after is None:
        drift.by_hand.append(f"{what}: missing, and there is no plain list `repos:` to put it into")
        return None
    drift.behind.append(f"{what}: {why}")
    after = after.replace("\n", "\r\n") if has_crlf else after
    drift.changes.append(Change(draft.path, before, after, draft.executable))
    return Record(draft.owner, digest_of(wanted))


def _after(draft: Draft, text: str | None, wanted: str, *, has_block: bool) -> str | None:
    if draft.owner != "block":
        return draft.text
    return blocks.replaced(text or "", wanted) if has_block else with_block(draft.path, text or "", draft.text)


def _as_indented(draft: Draft, now: str | None) -> str:
    """Return a block's text, indented as the block is that stands there."""
    import textwrap

    if draft.owner != "block" or not now:
        return draft.text
    first = now.splitlines()[0]
    indent = first[: len(first) - len(first.lstrip(" "))]
    return textwrap.indent(textwrap.dedent(draft.text), indent)


def _first_difference(now: str, wanted: str) -> int:
    old, new = now.splitlines(), wanted.splitlines()
    return next((n for n, (a, b) in enumerate(zip(old, new, strict=False), 1) if a != b), min(len(old), len(new)) + 1)
