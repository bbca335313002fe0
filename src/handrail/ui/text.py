"""The printer for people: rich where a terminal can show it, plain lines everywhere else.

Plain lines are written by hand, so that a piped or CI run never pays for importing rich and never contains an
escape sequence. What other programs wrote is stripped of control characters, and in GitHub Actions of
anything that the runner would obey.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

from handrail.errors import HandrailError, InterruptedByUserError
from handrail.ui import Board, Printer, github
from handrail.ui.streams import has_colour, has_terminal, width_of, without_controls, write_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from handrail.ui.gantt import Chart

_STYLES = {"good": "32", "warning": "33", "bad": "31;1", "command": "36", "dim": "2", "bold": "1"}

_REMEMBERED = 200  # lines of output, so that a card does not repeat what stands just above it


class TextPrinter(Printer):
    """Writes to ``out`` and, for warnings and failures, to ``err``; by default this process's streams."""

    def __init__(
        self,
        *,
        out: TextIO | None = None,
        err: TextIO | None = None,
        stdin: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(verbose=verbose)
        self._out = out if out is not None else sys.stdout
        self._err = err if err is not None else sys.stderr
        self._in = stdin if stdin is not None else sys.stdin
        self._environ = os.environ if environ is None else environ
        self._actions = github.is_active(self._environ)
        self._sections = 0
        # While a live board is on the screen, lines go above it.
        self._above: Callable[[str], None] | None = None
        self._shown: deque[str] = deque(maxlen=_REMEMBERED)

    def info(self, text: str) -> None:
        self._say(text)

    def detail(self, text: str) -> None:
        if self.verbose:
            self._say(text, style="dim")

    def success(self, text: str) -> None:
        self._say(text, style="good")

    def warn(self, text: str) -> None:
        self._say(f"warning: {text}", style="warning", stream=self._err)

    def command(self, text: str) -> None:
        self._say(f"$ {text}", style="command")

    def output(self, line: str, host: str = "") -> None:
        line = line.rstrip("\r\n")
        self._shown.append(self.clean(line))
        self._say(f"{host} | {line}" if host else line, keep_style=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        title, columns = self.clean(title), [self.clean(column) for column in columns]
        cells = [[" ".join(self.clean(cell).split("\n")) for cell in row] for row in rows]
        if self._above is None and has_terminal(self._out, self._environ):
            from handrail.ui.tables import rich_table

            self._show(rich_table(title, columns, cells), self._out)
            return
        from handrail.ui.tables import plain_table

        for line in plain_table(title, columns, cells):
            self._write(line, self._out)

    def chart(self, chart: Chart) -> None:
        chart = chart.cleaned(self.clean)
        width = min(width_of(self._out, self._environ), 120)
        if self._above is None and has_terminal(self._out, self._environ):
            from handrail.ui.gantt import rich_chart

            self._show(rich_chart(chart, width), self._out)
            return
        from handrail.ui.gantt import plain_chart

        for line in plain_chart(chart, width):
            self._write(line, self._out)

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        # The runner's groups do not nest: one inside another is a heading.
        grouped = self._actions and self._sections == 0
        if grouped:
            write_line(self._out, github.group(self.clean(title)))
        else:
            self._say(title, style="bold")
        self._sections += 1
        try:
            yield
        finally:
            self._sections -= 1
            if grouped:
                write_line(self._out, github.END_GROUP)

    def annotate(self, level: str, message: str, file: str = "", line: int = 0) -> None:
        message = self.clean(message)
        if self._actions:
            write_line(self._out, github.annotation(level, message, file=self.clean(file), line=line))
            return
        place = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        style = {"error": "bad", "warning": "warning"}.get(level, "")
        self._say(f"{place}{level}: {message}", style=style)

    def summary(self, markdown: str) -> None:
        github.append_summary(self.mask(markdown), self._environ)

    def can_ask(self) -> bool:
        try:
            return self._in.isatty()
        except (AttributeError, ValueError):
            return False

    def ask(self, question: str, default: str) -> str:
        if not self.can_ask():
            return default
        shown = f" [{default}]" if default else ""
        self._err.write(f"{self.clean(question + shown)} ")
        self._err.flush()
        answer = self._in.readline()
        if not answer:  # Ctrl-D: Enter would be a line
            raise InterruptedByUserError("no answer was given")
        return answer.strip() or default

    def confirm_word(self, prompt: str, word: str) -> bool:
        if not self.can_ask():
            return False
        self._err.write(f"{self.clean(prompt)} ")
        self._err.flush()
        return self._in.readline().strip() == word

    @contextmanager
    def board(self, hosts: Sequence[str], phases: Sequence[str]) -> Iterator[Board]:
        from handrail.ui.board import LiveBoard, PlainBoard

        if self._above is not None or not has_terminal(self._out, self._environ):
            with PlainBoard(hosts, phases, self.info) as plain:
                yield plain
            return
        with LiveBoard(hosts, phases, self._console(self._out), self.clean) as live:
            self._above = live.print_above
            try:
                yield live
            finally:
                self._above = None

    def result(self, document: Mapping[str, Any]) -> None:
        """Show nothing: people have read the same facts as text."""

    def failure(self, error: HandrailError, task: str, rerun: str, rerun_ci: str) -> None:
        from handrail.ui.card import card_markdown, card_panel, card_text, make_card, ways_on

        card = make_card(error, task, rerun, rerun_ci, self.clean)
        # The page of a CI job stands apart from its log and gets all lines.
        shown = set(self._shown)
        here = replace(card, lines=[]) if all(line in shown for line in card.lines) else card
        self._out.flush()
        if has_terminal(self._err, self._environ) and not card.is_short:
            self._show(card_panel(here), self._err)
            # Below the box and unwrapped: these lines are there to be copied.
            self._write(ways_on(card), self._err)
        else:
            self._write(self._styled(card_text(here), "", self._err), self._err)
        if self._actions:
            file, line = card.place
            message = card.message[len(f"{file}:{line}: ") :] if file else card.message
            write_line(self._err, github.annotation("error", message, title=card.title, file=file, line=line))
            github.append_summary(card_markdown(card), self._environ)

    def clean(self, text: str, *, keep_style: bool = False) -> str:
        """Return ``text`` masked and without control characters."""
        return without_controls(self.mask(str(text)), keep_style=keep_style)

    def _say(self, text: str, *, style: str = "", stream: TextIO | None = None, keep_style: bool = False) -> None:
        stream = stream or self._out
        keep_style = keep_style and has_colour(stream, self._environ)
        text = self.clean(text, keep_style=keep_style)
        text = f"{text}\033[0m" if keep_style and "\033" in text else text
        self._write(self._styled(text, style, stream), stream)

    def _styled(self, text: str, style: str, stream: TextIO) -> str:
        if not style or not text or not has_colour(stream, self._environ):
            return text
        return f"\033[{_STYLES[style]}m{text}\033[0m"

    def _write(self, line: str, stream: TextIO) -> None:
        if self._actions:
            line = github.harmless(line)
        if self._above is not None:
            self._above(line)
        else:
            write_line(stream, line)

    def _show(self, renderable: RenderableType, stream: TextIO) -> None:
        self._console(stream).print(renderable)

    def _console(self, stream: TextIO) -> Console:
        from rich.console import Console

        return Console(
            file=stream,
            force_terminal=has_terminal(stream, self._environ),
            no_color=not has_colour(stream, self._environ),
            width=width_of(stream, self._environ),
            highlight=False,
            markup=False,
            emoji=False,
        )
