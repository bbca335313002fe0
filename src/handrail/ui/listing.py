"""`inv --list` and `inv --help <task>` as text: pure functions of what is listed.

Written without rich, whose import alone would cost more than the rest of `inv --list`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

Row = tuple[str, str]
INDENT = "  "


def task_list(groups: Mapping[str, Sequence[Row]], *, width: int, bold: bool, program: str = "inv") -> str:
    """Return the tasks (name, one line of help) under the heading of their group, names in one column."""
    column = max((len(name) for rows in groups.values() for name, _ in rows), default=0)
    lines = []
    for title, rows in groups.items():
        lines += [_heading(title, bold=bold), *(_row(row, column, width) for row in rows), ""]
    return "\n".join([*lines, f"{program} --help <task> shows a task's options and an example."])


def task_help(usage: str, documentation: str, options: Sequence[Row], example: str, *, width: int, bold: bool) -> str:
    """Return the help of one task."""
    lines = [f"Usage: {usage}", "", textwrap.indent(documentation.strip(), INDENT)]
    if options:
        column = max(len(flags) for flags, _ in options)
        lines += ["", _heading("options", bold=bold), *(_row(row, column, width) for row in options)]
    if example:
        lines += ["", _heading("example", bold=bold), textwrap.indent(example, INDENT)]
    return "\n".join(lines)


def _heading(title: str, *, bold: bool) -> str:
    title = title[:1].upper() + title[1:]
    return f"\033[1m{title}\033[0m" if bold else title


def _row(row: Row, column: int, width: int) -> str:
    name, text = row
    start = f"{INDENT}{name:{column}}   "
    wrapped = textwrap.wrap(text, max(20, width - len(start))) or [""]
    return f"\n{' ' * len(start)}".join([start + wrapped[0], *wrapped[1:]]).rstrip()
