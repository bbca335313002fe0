"""One failure that stands for those of several hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handrail.errors import HandrailError, PreflightError, UnreachableError


def is_unreachable(error: HandrailError) -> bool:
    """Tell a host that is away from one that is there and must not be passed over, such as one with another key."""
    return isinstance(error, UnreachableError) or getattr(error, "kind", "") == "lost"


def first_failure(failures: Mapping[str, HandrailError]) -> HandrailError:
    """Return one failure that stands for all: a host's own word before a lost connection."""
    ranked = sorted(failures.values(), key=lambda e: getattr(e, "kind", "") == "lost")
    return ranked[0]


def facts_of(host: str, error: HandrailError, step: str) -> dict[str, Any]:
    """Return a host's failure as the arguments of the error that says what it means for the fleet."""
    return {
        "message": f"{host}: {error.beside(host)}",
        "host": host,
        "step": step,
        "command": error.command,
        "returncode": error.returncode,
        "lines": error.lines,
    }


def as_preflight(failures: Mapping[str, HandrailError], step: str) -> HandrailError:
    first = first_failure(failures)
    states = {host: error.beside(host) for host, error in failures.items()}
    host = first.host
    message = first.message if not host or first.message.startswith(f"{host}: ") else f"{host}: {first.message}"
    if len(failures) > 1:
        message += f" (and {len(failures) - 1} more hosts)"
    return PreflightError(
        message,
        host=host,
        step=step,
        lines=first.lines,
        returncode=first.returncode,
        host_states=states,
        next_step=first.next_step or "nothing was changed; fix it and run it again",
    )
