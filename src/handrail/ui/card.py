"""The card of a failure: everything that is needed to understand it and to go on, in one place.

`make_card` collects it, `card_text` shows it as plain lines, `card_panel` for a terminal, `card_markdown` on
the page of a CI job. A mistyped line has no host, step or state: it stays one line and its next step.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handrail.errors import HandrailError, UsageError

if TYPE_CHECKING:
    from rich.panel import Panel

LAST_LINES = 20
HOSTS_ONE_BY_ONE = 12
_PLACE = re.compile(r"(?P<file>[^\s:]+):(?P<line>\d+): ")


@dataclass(frozen=True)
class Card:
    """A failure ready to be shown; empty fields are left out."""

    title: str
    message: str
    facts: list[tuple[str, str]]
    lines: list[str]
    hosts: list[tuple[str, str]]
    ways_on: list[tuple[str, str]]

    @property
    def is_short(self) -> bool:
        """Whether it says nothing beside its message and the way on."""
        return not (self.facts or self.lines or self.hosts)

    @property
    def place(self) -> tuple[str, int]:
        """The file and line that the message begins with, or ``("", 0)``."""
        match = _PLACE.match(self.message)
        return (match["file"], int(match["line"])) if match else ("", 0)


def make_card(error: HandrailError, task: str, rerun: str, rerun_ci: str, clean: Callable[[str], str] = str) -> Card:
    """Return the card of ``error``; ``clean`` masks and cleans each text."""
    facts = [
        ("host", error.host),
        ("step", error.step),
        ("command", error.command),
        ("ended", how_it_ended(error.returncode)),
    ]
    facts = [(name, clean(value)) for name, value in facts if value]
    # Running a mistyped line again would not help.
    again = [] if isinstance(error, UsageError) and not error.host else [("again", rerun), ("in CI", rerun_ci)]
    return Card(
        title=f"{task} failed" if error.exit_code != 130 else f"{task} interrupted",
        message=" ".join(clean(error.message).split("\n")),
        facts=facts,
        lines=[clean(line) for line in error.lines[-LAST_LINES:]],
        hosts=[(clean(host), clean(state)) for host, state in _hosts(error.host_states)],
        ways_on=[(name, clean(text)) for name, text in [*again, ("next", error.next_step)] if text],
    )


def how_it_ended(returncode: int | None) -> str:
    """Return an exit status in words; negative: the signal's number; above 128: what shells make of a signal."""
    if returncode is None:
        return ""
    if returncode < 0:
        return f"killed by signal {-returncode}{_signal_name(-returncode)}"
    if name := _signal_name(returncode - 128) if returncode > 128 else "":
        return f"exit code {returncode}, as after signal {returncode - 128}{name}"
    return f"exit code {returncode}"


def card_text(card: Card) -> str:
    """Return the card as plain lines; none is wrapped, so that they can be copied and searched."""
    name = card.title.removesuffix(" failed")
    if card.is_short:
        return "\n".join([f"error: {name}: {card.message}", *(f"{key}: {text}" for key, text in card.ways_on)])
    rows = [f"{card.title}: {card.message}", *_block(card.facts)]
    if card.lines:
        rows += ["  last lines", *(f"    | {line}".rstrip() for line in card.lines)]
    if card.hosts:
        rows += ["  hosts", *(f"  {row}" for row in _block(card.hosts))]
    return "\n".join([*rows, *_block(card.ways_on)])


def ways_on(card: Card) -> str:
    """Return how to run it again and what to do next, one line each."""
    return "\n".join(_block(card.ways_on))


def card_panel(card: Card) -> Panel:
    """Return the card without its ways on, for a terminal (a rich renderable)."""
    from rich.console import Group, RenderableType
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    def grid(rows: list[tuple[str, str]]) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for key, text in rows:
            table.add_row(Text(key), Text(text))
        return table

    parts: list[RenderableType] = [Text(card.message, style="bold")]
    if card.facts:
        parts += ["", grid(card.facts)]
    if card.lines:
        parts += ["", Text("last lines", style="dim"), *(Text(f"│ {line}") for line in card.lines)]
    if card.hosts:
        parts += ["", Text("hosts", style="dim"), grid(card.hosts)]
    return Panel(Group(*parts), title=Text(card.title, style="bold red"), title_align="left", border_style="red")


def card_markdown(card: Card) -> str:
    """Return the card for the page of a CI job."""
    # A fence longer than any in the lines cannot be closed by them.
    longest = max((len(run) for line in card.lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    code = [f"{fence}text", *card.lines, fence, ""] if card.lines else []
    table = [f"- **{_markdown(name)}**: {_markdown(text)}" for name, text in [*card.facts, *card.hosts]]
    ways = [f"- **{name}**: {_markdown(text)}" for name, text in card.ways_on]
    parts = [f"### {card.title}", "", _markdown(card.message), "", *table, "", *code, *ways]
    return "\n".join(parts)


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


def _block(rows: list[tuple[str, str]]) -> list[str]:
    column = max((len(key) for key, _ in rows), default=0)
    return [f"  {key:{max(column, 7)}}  {text}" for key, text in rows]


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return ""
    return f" ({name}{': out of memory?' if number == signal.SIGKILL else ''})"


def _hosts(states: dict[str, str]) -> list[tuple[str, str]]:
    """Return host and state; of a large fleet, the hosts of one state share a row."""
    if len(states) <= HOSTS_ONE_BY_ONE:
        return list(states.items())
    together: dict[str, list[str]] = {}
    for host, state in states.items():
        together.setdefault(state, []).append(host)
    return [
        (names[0] if len(names) == 1 else f"{len(names)} hosts", _named(state, names))
        for state, names in together.items()
    ]


def _named(state: str, names: list[str]) -> str:
    if len(names) == 1:
        return state
    shown = ", ".join(names[:6])
    return f"{state} ({shown}{', …' if len(names) > 6 else ''})"
