"""The display of a roll-out: a live table of hosts by phases on a terminal, plain lines without one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from handrail.ui import Board
from handrail.ui.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from typing_extensions import Self

HOSTS_ONE_BY_ONE = 20
_REFRESHES_A_SECOND = 8


class PlainBoard(Board):
    """One line for each phase a host came through; with more than 20 hosts, one for each phase of all.

    Args:
        write: takes one line; called from the thread that reports.
    """

    def __init__(self, hosts: Sequence[str], phases: Sequence[str], write: Callable[[str], None]) -> None:
        self._write = write
        self._hosts = list(hosts)
        self._host_column = max((len(host) for host in hosts), default=0)
        self._phase_column = max((len(phase) for phase in phases), default=0)
        self._through: dict[str, list[float]] = {}
        self._notes: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def start(self, host: str, phase: str) -> None:
        """Say nothing: the line comes when the phase is over."""

    def finish(self, host: str, phase: str, seconds: float) -> None:
        with self._lock:
            if self._is_small:
                self._line(host, phase, f"{seconds:6.1f} s")
                return
            through = self._through.setdefault(phase, [])
            through.append(seconds)
            if len(through) == len(self._hosts):
                self._summarise(phase)

    def fail(self, host: str, phase: str, message: str) -> None:
        with self._lock:
            self._line(host, phase, f"failed: {message}" if message else "failed")

    def note(self, host: str, text: str) -> None:
        with self._lock:
            if self._is_small:
                self._line(host, "", text)
            else:
                self._notes.setdefault(text, []).append(host)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for phase in list(self._through):
                self._summarise(phase)
            for text, hosts in self._notes.items():
                self._line(hosts[0] if len(hosts) == 1 else self._count(len(hosts)), "", text)

    @property
    def _is_small(self) -> bool:
        return len(self._hosts) <= HOSTS_ONE_BY_ONE

    def _count(self, number: int) -> str:
        return f"{number} of {len(self._hosts)} hosts"

    def _summarise(self, phase: str) -> None:
        through = self._through.pop(phase)
        if through:
            self._line(self._count(len(through)), phase, f"{max(through):6.1f} s at most")

    def _line(self, host: str, phase: str, text: str) -> None:
        self._write(f"{host:{self._host_column}}  {phase:{self._phase_column}}  {text}")


class LiveBoard(Board):
    """A table that is redrawn in place; what is printed meanwhile goes above it."""

    def __init__(
        self, hosts: Sequence[str], phases: Sequence[str], console: Console, clean: Callable[[str], str] = str
    ) -> None:
        from rich.live import Live

        self._progress = Progress(list(hosts), list(phases))
        self._clean = clean
        self._console = console
        self._live = Live(
            get_renderable=self._render,
            console=console,
            refresh_per_second=_REFRESHES_A_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def start(self, host: str, phase: str) -> None:
        self._progress.start(host, phase)

    def finish(self, host: str, phase: str, seconds: float) -> None:
        self._progress.finish(host, phase, seconds)

    def fail(self, host: str, phase: str, message: str) -> None:
        self._progress.fail(host, phase, self._clean(message))

    def note(self, host: str, text: str) -> None:
        self._progress.note(host, self._clean(text))

    def live(self, host: str, text: str) -> None:
        self.note(host, text)

    def print_above(self, line: str) -> None:
        """Print ``line`` (it may contain styles) above the table."""
        from rich.text import Text

        self._live.console.print(Text.from_ansi(line), soft_wrap=True)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _render(self) -> RenderableType:
        from handrail.ui.board_table import board_table

        now, phases, rows = self._progress.snapshot()
        return board_table(now, phases, rows, width=self._console.width, height=self._console.height)
