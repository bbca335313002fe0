"""A chart of hosts by time: one row a host, one bar a phase, drawn in characters.

Each phase has a letter, so that the chart is read without colours too; a terminal that has them adds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

MARK = "|"
FAILED = "!"
_COLOURS = (
    "cyan",
    "blue",
    "magenta",
    "green",
    "yellow",
    "bright_cyan",
    "bright_blue",
    "bright_green",
    "bright_magenta",
)
_LONGEST_NAME = 20


@dataclass(frozen=True)
class Span:
    """One phase on one host; times in seconds since the chart's start."""

    phase: str
    start: float
    seconds: float
    is_failed: bool = False


@dataclass(frozen=True)
class Lane:
    """One host: its phases, the moment that is marked (None: never came), and a word about how it ended."""

    name: str
    spans: Sequence[Span]
    mark: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """What is drawn.

    Attributes:
        phases: names in their order, each with the longest that it took on a host, in seconds.
        seconds: the length of the time axis.
        mark_name: what a lane's mark stands for.
        left_out: how many lanes were left out.
    """

    title: str
    phases: Sequence[tuple[str, float]]
    lanes: Sequence[Lane]
    seconds: float
    mark_name: str = ""
    left_out: int = 0
    letters: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for phase, _ in self.phases:
            spare = (*phase, *"abcdefghijklmnopqrstuvwxyz")
            self.letters[phase] = next(letter for letter in spare if letter not in self.letters.values())

    def cleaned(self, clean: Callable[[str], str]) -> Chart:
        """Return the chart with its words passed through ``clean``."""
        lanes = [replace(lane, name=clean(lane.name), note=clean(lane.note)) for lane in self.lanes]
        return replace(self, title=clean(self.title), lanes=lanes)


@dataclass(frozen=True)
class _Piece:
    text: str
    phase: str = ""
    is_failed: bool = False


def plain_chart(chart: Chart, width: int) -> Iterator[str]:
    """Yield the chart as lines of at most ``width`` characters, 40 at least."""
    yield chart.title
    for line in _lines(chart, width):
        yield "".join(piece.text for piece in line).rstrip()


def rich_chart(chart: Chart, width: int) -> RenderableType:
    """Return the same chart with colours."""
    from rich.text import Text

    names = [phase for phase, _ in chart.phases]
    text = Text(chart.title, style="bold")
    for line in _lines(chart, width):
        text.append("\n", style="not bold")
        for piece in line:
            style = "not bold"
            if piece.is_failed:
                style = "bold white on red"
            elif piece.phase:
                style = f"not bold black on {_COLOURS[names.index(piece.phase) % len(_COLOURS)]}"
            text.append(piece.text, style=style)
    text.no_wrap = True
    return text


def _lines(chart: Chart, width: int) -> Iterator[list[_Piece]]:
    label = min(_LONGEST_NAME, max([len(lane.name) for lane in chart.lanes] + [4]))
    note = max([len(lane.note) for lane in chart.lanes] + [0])
    room = max(40, width) - label - 1 - (note + 1 if note else 0)
    for lane in chart.lanes:
        yield [_Piece(f"{_short(lane.name, label):{label}} "), *_bar(chart, lane, room), _Piece(f" {lane.note}")]
    yield [_Piece(" " * (label + 1) + _axis(chart.seconds, room))]
    if chart.left_out:
        yield [_Piece(f"{chart.left_out} more hosts, all quicker than these")]
    yield from _legend(chart, max(40, width))


def _bar(chart: Chart, lane: Lane, room: int) -> list[_Piece]:
    cells = [_Piece(" ") for _ in range(room)]
    scale = room / chart.seconds if chart.seconds else 0.0
    for span in lane.spans:
        first = min(room - 1, int(span.start * scale))
        end = max(first + 1, min(room, math.ceil((span.start + span.seconds) * scale)))
        for at in range(first, end):
            cells[at] = _Piece(FAILED if span.is_failed else chart.letters[span.phase], span.phase, span.is_failed)
    if lane.mark is not None:
        at = min(room - 1, int(lane.mark * scale))
        cells[at] = _Piece(MARK, cells[at].phase, cells[at].is_failed)
    return cells


def _axis(seconds: float, room: int) -> str:
    line = [" "] * room
    step = nice_step(seconds, max(2, room // 12))
    for number in range(int(seconds / step + 1e-9) + 1):
        word = f"{number * step:g} s"
        at = int(number * step / seconds * room) if seconds else 0
        if at + len(word) <= room:
            line[at : at + len(word)] = word
    return "".join(line)


def nice_step(seconds: float, ticks: int) -> float:
    """Return a round distance, in seconds, which gives an axis of this length at most so many ticks."""
    least = max(seconds, 1e-3) / ticks
    power = 10.0 ** math.floor(math.log10(least))
    return float(next(round(power * factor, 6) for factor in (1, 2, 5, 10) if power * factor >= least))


def _legend(chart: Chart, width: int) -> Iterator[list[_Piece]]:
    line: list[_Piece] = []
    used = 0
    entries = [(chart.letters[phase], f" {phase} {longest:.2f} s", phase) for phase, longest in chart.phases]
    if chart.mark_name and any(lane.mark is not None for lane in chart.lanes):
        entries.append((MARK, f" {chart.mark_name}", ""))
    if any(span.is_failed for lane in chart.lanes for span in lane.spans):
        entries.append((FAILED, " failed", ""))
    for letter, text, phase in entries:
        if used and used + 3 + len(letter + text) > width:
            yield line
            line, used = [], 0
        if used:
            line.append(_Piece("   "))
            used += 3
        line += [_Piece(letter, phase, letter == FAILED), _Piece(text)]
        used += len(letter + text)
    yield line


def _short(name: str, room: int) -> str:
    # Hosts of a fleet differ at either end of their names.
    return name if len(name) <= room else f"{name[: room // 2 - 1]}…{name[-(room - room // 2) :]}"
