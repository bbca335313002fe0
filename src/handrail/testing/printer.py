"""A printer that shows nothing and remembers everything."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from handrail.errors import HandrailError
from handrail.ui import Board, Printer

if TYPE_CHECKING:
    from handrail.ui.gantt import Chart


@dataclass(frozen=True)
class Event:
    """One call of a printer or board method: its name, and its words (masked, as a user would see them)."""

    kind: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """The arguments of one `Printer.failure`."""

    error: HandrailError
    task: str
    rerun: str
    rerun_ci: str


@dataclass
class RecordingBoard(Board):
    """A board that writes its calls into the printer's events, as ``board.start`` and so on."""

    printer: RecordingPrinter
    hosts: list[str]
    phases: list[str]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, host: str, phase: str) -> None:
        self._record("start", host, phase)

    def finish(self, host: str, phase: str, seconds: float) -> None:
        self._record("finish", host, phase)

    def fail(self, host: str, phase: str, message: str) -> None:
        self._record("fail", host, phase, message)

    def note(self, host: str, text: str) -> None:
        self._record("note", host, text)

    def _record(self, kind: str, *words: str) -> None:
        with self.lock:
            self.printer.record(f"board.{kind}", *words)


class RecordingPrinter(Printer):
    """Remembers every call.

    Args:
        answers: what the user types, one text for each `confirm_word` and `ask`; none left: nobody is there.

    Attributes:
        events: every call in order.
        tables: title, columns and rows of each table.
        summaries: the markdown given to `summary`.
        documents: the documents given to `result`.
        failures: the arguments of each `failure`.
        boards: the boards that were opened.
    """

    def __init__(self, *, verbose: bool = True, answers: Sequence[str] = ()) -> None:
        super().__init__(verbose=verbose)
        self.events: list[Event] = []
        self.tables: list[tuple[str, list[str], list[list[str]]]] = []
        self.summaries: list[str] = []
        self.documents: list[dict[str, Any]] = []
        self.failures: list[Failure] = []
        self.boards: list[RecordingBoard] = []
        self._answers = list(answers)

    def record(self, kind: str, *words: str) -> None:
        """Append one event."""
        self.events.append(Event(kind, tuple(self.mask(word) for word in words)))

    def lines(self, *kinds: str) -> list[str]:
        """Return the words of the events of ``kinds`` (all, without any), one line an event."""
        return [" ".join(event.words) for event in self.events if not kinds or event.kind in kinds]

    @property
    def text(self) -> str:
        """Everything that was said, one line an event."""
        return "\n".join(self.lines())

    def info(self, text: str) -> None:
        self.record("info", text)

    def detail(self, text: str) -> None:
        if self.verbose:
            self.record("detail", text)

    def success(self, text: str) -> None:
        self.record("success", text)

    def warn(self, text: str) -> None:
        self.record("warn", text)

    def command(self, text: str) -> None:
        self.record("command", text)

    def output(self, line: str, host: str = "") -> None:
        self.record("output", *filter(None, (host, line)))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.tables.append((title, list(columns), [[self.mask(cell) for cell in row] for row in rows]))
        self.record("table", title, *columns, *(cell for row in rows for cell in row))

    def chart(self, chart: Chart) -> None:
        from handrail.ui.gantt import plain_chart

        self.record("chart", "\n".join(plain_chart(chart, 80)))

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        self.record("section", title)
        yield

    def annotate(self, level: str, message: str, file: str = "", line: int = 0) -> None:
        self.record("annotate", level, message, f"{file}:{line}")

    def summary(self, markdown: str) -> None:
        self.summaries.append(self.mask(markdown))

    def confirm_word(self, prompt: str, word: str) -> bool:
        self.record("confirm_word", prompt, word)
        return bool(self._answers) and self._answers.pop(0) == word

    def can_ask(self) -> bool:
        return bool(self._answers)

    def ask(self, question: str, default: str) -> str:
        self.record("ask", question, default)
        return (self._answers.pop(0) if self._answers else "") or default

    @contextmanager
    def board(self, hosts: Sequence[str], phases: Sequence[str]) -> Iterator[Board]:
        board = RecordingBoard(self, list(hosts), list(phases))
        self.boards.append(board)
        yield board

    def result(self, document: Mapping[str, Any]) -> None:
        self.documents.append(dict(document))

    def failure(self, error: HandrailError, task: str, rerun: str, rerun_ci: str) -> None:
        self.failures.append(Failure(error, task, rerun, rerun_ci))
        self.record("failure", task, error.message)
