"""The one printer: everything a user sees goes through a `Printer`.

Text (rich on a terminal, plain lines without one), JSON, and a recording one for tests implement it; a task gets
one and hands it on, and no other part of Handrail writes to a stream. Every method masks the secrets that were
registered with `Printer.hide`. This module stays cheap: rich is imported when a terminal first needs it.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from handrail.config.secret import mask_secrets
from handrail.errors import HandrailError

if TYPE_CHECKING:
    from handrail.ui.gantt import Chart


class Board(ABC):
    """Progress of several hosts through named phases; every method may be called from any thread."""

    @abstractmethod
    def start(self, host: str, phase: str) -> None:
        """Show that ``host`` entered ``phase``."""

    @abstractmethod
    def finish(self, host: str, phase: str, seconds: float) -> None:
        """Show that ``host`` came through ``phase`` in ``seconds``."""

    @abstractmethod
    def fail(self, host: str, phase: str, message: str) -> None:
        """Show that ``host`` failed in ``phase``."""

    @abstractmethod
    def note(self, host: str, text: str) -> None:
        """Show one short remark beside ``host``."""

    def live(self, host: str, text: str) -> None:  # noqa: B027 - only a display that is redrawn has a place for it
        """Show what changes every second beside ``host``; nothing where each line stays."""


class Printer(ABC):
    """Where a task's words go.

    Args:
        verbose: whether `detail` is shown.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        self._secrets: set[str] = set()

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask each of ``secrets`` in everything that is shown from now on."""
        for secret in secrets:
            # A secret meets us raw, line by line, inside a repr (traces) and inside JSON (documents, logs).
            self._secrets.update({secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]})
            self._secrets.update(line for line in secret.splitlines() if len(line) >= 8)

    def mask(self, text: str) -> str:
        """Return ``text`` with every hidden secret replaced by the mask."""
        return mask_secrets(text, list(self._secrets)) if self._secrets else text

    @abstractmethod
    def info(self, text: str) -> None:
        """Say something; one line or several."""

    @abstractmethod
    def detail(self, text: str) -> None:
        """Say something that only ``verbose`` shows."""

    @abstractmethod
    def success(self, text: str) -> None:
        """Say that something was achieved."""

    @abstractmethod
    def warn(self, text: str) -> None:
        """Say that something needs attention although the task goes on."""

    @abstractmethod
    def command(self, text: str) -> None:
        """Show a command line that is about to run, as ``$ text``."""

    @abstractmethod
    def output(self, line: str, host: str = "") -> None:
        """Pass on one line that another program wrote; it is not trusted."""

    @abstractmethod
    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show ``rows`` under ``columns``; an empty ``title`` is left out."""

    @abstractmethod
    def chart(self, chart: Chart) -> None:
        """Show a chart of hosts by time."""

    @abstractmethod
    def section(self, title: str) -> AbstractContextManager[None]:
        """Group what is shown inside under ``title`` (a log group in GitHub Actions)."""

    @abstractmethod
    def annotate(self, level: str, message: str, file: str = "", line: int = 0) -> None:
        """Attach ``message`` to a source line; ``level`` is ``error``, ``warning`` or ``notice``."""

    @abstractmethod
    def summary(self, markdown: str) -> None:
        """Append ``markdown`` to the page that GitHub Actions shows for the job; nothing elsewhere."""

    @abstractmethod
    def confirm_word(self, prompt: str, word: str) -> bool:
        """Return whether the user typed exactly ``word``; False when nobody sits at a terminal."""

    @abstractmethod
    def can_ask(self) -> bool:
        """Return whether somebody sits at a terminal who could answer."""

    @abstractmethod
    def ask(self, question: str, default: str) -> str:
        """Return what the user types, or ``default`` for an empty line and where nobody sits at a terminal.

        Raises:
            InterruptedByUserError: the input ended (Ctrl-D).
        """

    @abstractmethod
    def board(self, hosts: Sequence[str], phases: Sequence[str]) -> AbstractContextManager[Board]:
        """Show the progress of ``hosts`` through ``phases`` while the context is open."""

    @abstractmethod
    def result(self, document: Mapping[str, Any]) -> None:
        """Give the task's result as data: the one document of ``--json``; text shows nothing of it."""

    @abstractmethod
    def failure(self, error: HandrailError, task: str, rerun: str, rerun_ci: str) -> None:
        """Show the card of a failure: what, where, the state of each host, how to run it again, what next."""

    def close(self) -> None:  # noqa: B027 - most printers have nothing left to do
        """Finish: called once, after the task's last word."""


def make_printer(*, as_json: bool = False, verbose: bool = False) -> Printer:
    """Return the printer for this process's streams."""
    if as_json:
        from handrail.ui.json_printer import JsonPrinter

        return JsonPrinter(verbose=verbose)
    from handrail.ui.text import TextPrinter

    return TextPrinter(verbose=verbose)
