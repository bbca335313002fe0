"""What a signal means during a deploy: first an orderly return, then patience until it is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP (a cancelled CI job, a closed terminal) act like Ctrl-C: as KeyboardInterrupt."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    with _handling(interrupt):
        yield


@contextmanager
def uninterruptible() -> Iterator[None]:
    """Finish what must not be half done, whatever is pressed; a killed client's hosts return by themselves."""
    with _handling(signal.SIG_IGN):
        yield


@contextmanager
def in_one_piece() -> Iterator[None]:
    """Finish a moment's work before an interrupt is answered, which then is a KeyboardInterrupt at its end."""
    came: list[int] = []
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield
        return
    with _handling(lambda number, _frame: came.append(number)):
        yield
    if came:
        raise KeyboardInterrupt


@contextmanager
def _handling(handler: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
