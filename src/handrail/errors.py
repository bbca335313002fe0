"""Every failure a user can meet, and the exit code it ends with.

One small tree; `handrail.tasks` is the one place that shows them. A message is one line that says what was
found, where (file and line, or host), and what was expected; `next_step` says what to do about it. The exit
codes are documented in docs/exit-codes.md.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence


class HandrailError(Exception):
    """An expected failure: shown as a card, never as a traceback.

    Args:
        message: one line; must not contain a secret's value.
        next_step: what the user should do, as a sentence or a command.
        host: the host on which it happened, as the user wrote it.
        step: the named step of the task (``connect``, ``migrate`` …).
        command: the command that failed, as typed text without secrets.
        returncode: its exit status; negative values are the number of the signal that ended it.
        lines: the last lines of its output which were not shown yet.
        host_states: one sentence on each host's state after the failure.
        is_repeatable: False where the same line cannot succeed before another one was run; then no card says "again".
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        next_step: str = "",
        host: str = "",
        step: str = "",
        command: str = "",
        returncode: int | None = None,
        lines: Sequence[str] = (),
        host_states: Mapping[str, str] | None = None,
        is_repeatable: bool = True,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.host = host
        self.step = step
        self.command = command
        self.returncode = returncode
        self.lines = list(lines)
        self.host_states = dict(host_states or {})
        self.is_repeatable = is_repeatable
        self.document: dict[str, object] | None = None
        """What ``--json`` prints of the run that failed, where it got far enough to have one."""

    def beside(self, host: str) -> str:
        """Return the message as it stands beside the name of its host, which it would only repeat."""
        return beside(host, self.message)


class TaskFailedError(HandrailError):
    """A check, test, lint or build command ran and said no."""

    exit_code = 1


class UsageError(HandrailError):
    """What was typed cannot be meant."""

    exit_code = 2


class ConfigError(UsageError):
    """What was declared (pyproject, env file, contract) is wrong or missing."""


class PreflightError(HandrailError):
    """Refused before anything was changed."""

    exit_code = 3


class UnreachableError(PreflightError):
    """A host that does not answer, as opposed to one that answers and refuses."""


class DeployFailedError(HandrailError):
    """Failed before activation: the old release serves."""

    exit_code = 4


class DeployReturnedError(HandrailError):
    """Failed after activation and returned: the old release serves."""

    exit_code = 5


class NeedsPersonError(HandrailError):
    """Could not return by itself; names the host, its state and the command to run."""

    exit_code = 6


class LockedError(HandrailError):
    """Somebody else holds the deploy lock."""

    exit_code = 7


class InterruptedByUserError(HandrailError):
    """Interrupted by a signal; everything was returned."""

    exit_code = 130


def beside(host: str, message: str) -> str:
    """Return a message without the host's name that it may begin with, for a place that names the host."""
    return message.removeprefix(f"{host}: ")


def as_sentence(error: OSError) -> str:
    """Return what the system refused, such as ``/srv/uv.lock: permission denied``."""
    reason = (error.strerror or str(error)).lower()
    return f"{error.filename}: {reason}" if error.filename else reason


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known word, or the list of known words, or ``""``."""
    words = sorted(set(known))
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(words)}" if words else ""
