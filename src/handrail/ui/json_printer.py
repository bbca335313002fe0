"""The printer of ``--json``: one document on standard output, every other word on standard error.

The document is written once, at the end, so that a task that gives its result and then fails still
leaves exactly one. On failure it has an ``error`` with the facts of the card.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from handrail.errors import HandrailError
from handrail.ui.streams import write_line
from handrail.ui.text import TextPrinter


class JsonPrinter(TextPrinter):
    """Takes the arguments of `TextPrinter`; ``out`` gets the document alone."""

    def __init__(self, *, out: TextIO | None = None, err: TextIO | None = None, **kw: Any) -> None:
        self._document_stream = out if out is not None else sys.stdout
        err = err if err is not None else sys.stderr
        super().__init__(out=err, err=err, **kw)
        self._document: dict[str, Any] = {}
        self._is_closed = False

    def result(self, document: Mapping[str, Any]) -> None:
        self._document = dict(document)

    def failure(self, error: HandrailError, task: str, rerun: str, rerun_ci: str) -> None:
        super().failure(error, task, rerun, rerun_ci)
        facts = {
            "task": task,
            "message": error.message,
            "exit_code": error.exit_code,
            "host": error.host,
            "step": error.step,
            "command": error.command,
            "returncode": error.returncode,
            "lines": error.lines,
            "hosts": error.host_states,
            "again": rerun,
            "again_in_ci": rerun_ci,
            "next": error.next_step,
        }
        # A task that describes its own failure (a deploy) knows more.
        own = self._document.get("error") or {}
        self._document["error"] = {**facts, **own} if isinstance(own, Mapping) else own
        self._document.setdefault("exit_code", error.exit_code)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            # ASCII: whatever reads it, no encoding of the stream can break it.
            write_line(self._document_stream, json.dumps(self._masked(self._document), indent=2, default=str))

    def _masked(self, value: Any) -> Any:
        """Mask inside the texts: in the encoded document a quote in a secret would hide it from the mask."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, Mapping):
            return {self.mask(str(key)): self._masked(item) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._masked(item) for item in value]
        return value if isinstance(value, (int, float, bool, type(None))) else self.mask(str(value))
