"""What a migration changed: the schema as a small unified diff by object, and tables whose number of rows differs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

CONTEXT = 2


def schema_diff(before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the lines of a unified diff, a hunk for each object that came, went or changed.

    Args:
        before, after: the lines of each object, by what it is and its name (``table notes``).
    """
    lines: list[str] = []
    for name in sorted({*before, *after}):
        if before.get(name) == after.get(name):
            continue
        word = "" if name in before and name in after else " (gone)" if name in before else " (new)"
        lines.append(f"@@ {name}{word} @@")
        changed = difflib.unified_diff(before.get(name, []), after.get(name, []), n=CONTEXT, lineterm="")
        # Two lines of file names and the first hunk's numbers: the object's name says more.
        lines += ["  …" if line.startswith("@@") else line for line in list(changed)[3:]]
    return ["--- before", "+++ after", *lines] if lines else []


def row_changes(before: Mapping[str, int | None], after: Mapping[str, int | None]) -> list[dict[str, Any]]:
    """Return the tables whose number of rows differs; None where a table is not there, or cannot be counted."""
    return [
        {"table": name, "before": before.get(name), "after": after.get(name)}
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
