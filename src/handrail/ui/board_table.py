"""The table of a live board, drawn for the width and height that there are.

Hosts are rows and phases columns where that fits. Where it does not, up to three hosts become the columns, and
more of them keep one row each with the phase that they are in. A large fleet shows the hosts that need
attention and counts the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from handrail.ui.progress import Cell, Row

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

MOST_ROWS = 20
_GAP = 2
_STYLES = {"waiting": "dim", "running": "yellow", "done": "green", "failed": "bold red"}
_URGENCY = {"failed": 0, "running": 1, "waiting": 2, "done": 3}


def board_table(now: float, phases: Sequence[str], rows: Sequence[Row], *, width: int, height: int) -> RenderableType:
    """Return the rich table for a snapshot of `Progress` on a terminal of ``width`` by ``height``."""
    host_column = max([4, *(len(row.host) for row in rows)])
    # Remarks go below: a column for them would make the table change its shape when the first one comes.
    across = host_column + 9 + sum(max(len(phase), 8) + _GAP for phase in phases) + _GAP
    if across <= width:
        shown, rest = _most_urgent(rows, height - 4)
        return _with_remarks(_across(now, phases, shown), shown, rest)
    upright = 12 + sum(max(len(row.host), 9) + _GAP for row in rows)
    if len(rows) <= 3 and upright <= width and len(phases) + 8 <= height:
        return _with_remarks(_upright(now, phases, rows), rows)
    shown, rest = _most_urgent(rows, height)
    return _with_remarks(_compact(now, phases, shown), [], rest)


def _across(now: float, phases: Sequence[str], rows: Sequence[Row]) -> Table:
    table = _table()
    table.add_column("host", overflow="fold")
    for phase in phases:
        table.add_column(phase, justify="right", no_wrap=True)
    table.add_column("total", justify="right", no_wrap=True)
    for row in rows:
        cells = [_seconds(row.cells.get(phase, Cell())) for phase in phases]
        table.add_row(row.host, *cells, _total(row, now))
    return table


def _upright(now: float, phases: Sequence[str], rows: Sequence[Row]) -> Table:
    table = _table()
    table.add_column("phase", no_wrap=True)
    for row in rows:
        table.add_column(row.host, justify="right", no_wrap=True)
    for phase in phases:
        table.add_row(phase, *(_seconds(row.cells.get(phase, Cell())) for row in rows))
    table.add_row("total", *(_total(row, now) for row in rows), style="bold")
    return table


def _with_remarks(table: Table, rows: Sequence[Row], rest: str = "") -> RenderableType:
    from rich.console import Group

    spoken = sorted((row for row in rows if row.remark), key=lambda row: _URGENCY[row.state])[:3]
    lines = [_styled(rest, "waiting")] if rest else []
    lines += [_styled(f"{row.host}: {row.remark}", row.state if row.state == "failed" else "waiting") for row in spoken]
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(table, *lines)


def _compact(now: float, phases: Sequence[str], rows: Sequence[Row]) -> Table:
    table = _table()
    table.add_column("host", overflow="fold")
    table.add_column("phase", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("total", justify="right", no_wrap=True)
    table.add_column("", overflow="ellipsis", no_wrap=True)
    for row in rows:
        number = phases.index(row.phase) + 1 if row.phase in phases else 0
        word = {"waiting": "waiting", "done": "done"}.get(row.state, row.phase)
        word = f"{word} failed" if row.state == "failed" else word
        table.add_row(row.host, _styled(word, row.state), f"{number}/{len(phases)}", _total(row, now), _remark(row))
    return table


def _most_urgent(rows: Sequence[Row], height: int) -> tuple[list[Row], str]:
    """Return the rows to show, in their order, and what to say about the others."""
    room = max(3, min(MOST_ROWS, height - 6))
    if len(rows) <= room:
        return list(rows), ""
    chosen = {id(row) for row in sorted(rows, key=lambda row: _URGENCY[row.state])[:room]}
    counts: Counter[str] = Counter(row.state for row in rows if id(row) not in chosen)
    words = ", ".join(f"{counts[state]} {state}" for state in _URGENCY if counts[state])
    return [row for row in rows if id(row) in chosen], f"{len(rows) - room} more: {words}"


def _table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold", show_edge=False)


def _seconds(cell: Cell) -> Text:
    text = {"waiting": "·", "failed": "failed"}.get(cell.state) or f"{cell.seconds:.1f} s"
    return _styled(f"{text}{'…' if cell.state == 'running' else ' '}", cell.state)


def _total(row: Row, now: float) -> Text:
    return _styled("" if row.began is None else f"{row.total(now):.1f} s ", row.state)


def _remark(row: Row) -> Text:
    return _styled(row.remark, row.state if row.state == "failed" else "waiting")


def _styled(text: str, state: str) -> Text:
    from rich.text import Text

    return Text(text, style=_STYLES[state])
