"""Where each host is on its way through the phases: the state behind a board, without any display."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

State = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class Cell:
    """One phase of one host; ``seconds`` grow while it runs."""

    state: State = "waiting"
    seconds: float = 0.0
    began: float = 0.0


@dataclass
class Row:
    """One host."""

    host: str
    cells: dict[str, Cell]
    remark: str = ""
    began: float | None = None
    ended: float = 0.0

    @property
    def state(self) -> State:
        """Failed once a phase has failed; done when all are."""
        states = {cell.state for cell in self.cells.values()}
        if "failed" in states:
            return "failed"
        if states == {"done"}:
            return "done"
        return "waiting" if states == {"waiting"} else "running"

    @property
    def phase(self) -> str:
        """The phase that runs, failed, or else was finished last; empty before the first."""
        for wanted in ("failed", "running", "done"):
            found = [phase for phase, cell in self.cells.items() if cell.state == wanted]
            if found:
                return found[-1]
        return ""

    def total(self, now: float) -> float:
        """Return the seconds since the first phase began, up to the end of the last one when none runs."""
        if self.began is None:
            return 0.0
        running = any(cell.state == "running" for cell in self.cells.values())
        return (now if running else self.ended) - self.began


@dataclass
class Progress:
    """All hosts; every method may be called from any thread.

    A phase or host that was not announced is added: a display must not end a deploy.
    """

    hosts: Sequence[str]
    phases: list[str]
    clock: Callable[[], float] = time.monotonic
    _rows: dict[str, Row] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.phases = list(self.phases)
        for host in self.hosts:
            self._row(host)

    def start(self, host: str, phase: str) -> None:
        """``host`` enters ``phase``."""
        with self._lock:
            now = self.clock()
            row = self._row(host, phase)
            row.began = now if row.began is None else row.began
            row.remark = ""
            row.cells[phase] = Cell("running", began=now)

    def finish(self, host: str, phase: str, seconds: float) -> None:
        """``host`` came through ``phase`` in ``seconds``."""
        self._end(host, phase, "done", seconds)

    def fail(self, host: str, phase: str, message: str) -> None:
        """``host`` failed in ``phase``."""
        self._end(host, phase, "failed", None)
        self.note(host, message)

    def note(self, host: str, text: str) -> None:
        """Remember one short remark about ``host``."""
        with self._lock:
            self._row(host).remark = text

    def snapshot(self) -> tuple[float, list[str], list[Row]]:
        """Return the time, the phases, and a copy of the rows with the seconds of running phases filled in."""
        with self._lock:
            now = self.clock()
            rows = [
                replace(
                    row,
                    cells={
                        phase: replace(cell, seconds=now - cell.began) if cell.state == "running" else cell
                        for phase, cell in ((phase, row.cells.get(phase, Cell())) for phase in self.phases)
                    },
                )
                for row in self._rows.values()
            ]
            return now, list(self.phases), rows

    def _end(self, host: str, phase: str, state: State, seconds: float | None) -> None:
        with self._lock:
            now = self.clock()
            row = self._row(host, phase)
            before = row.cells[phase]
            if seconds is None:
                seconds = now - before.began if before.state == "running" else 0.0
            row.began = now - seconds if row.began is None else row.began
            row.ended = now
            row.cells[phase] = Cell(state, seconds, before.began)

    def _row(self, host: str, phase: str = "") -> Row:
        if phase and phase not in self.phases:
            self.phases.append(phase)
        row = self._rows.setdefault(host, Row(host, {}))
        for name in self.phases:
            row.cells.setdefault(name, Cell())
        return row
