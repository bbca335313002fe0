"""Notifications after a deploy, through apprise (the ``notify`` extra).

A notification is a courtesy: whatever goes wrong here is a warning, never the deploy's result. An apprise
URL holds its token, so that neither a message of ours nor apprise's own log may repeat one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from handrail.config.secret import Secret

if TYPE_CHECKING:
    from handrail.ui import Printer


def notify(urls: Sequence[Secret], title: str, body: str, printer: Printer) -> bool:
    """Send one message to each URL; return whether all arrived. Never raises."""
    if not urls:
        return True
    try:
        import apprise
    except ImportError:
        printer.warn("no notification was sent: install apprise with `uv add 'handrail[notify]'`")
        return False
    delivered = 0
    for number, url in enumerate(urls, start=1):
        which = f"notification {number} of {len(urls)}"
        try:
            with _silent_log():
                sender = apprise.Apprise()
                is_known = sender.add(url.reveal())
                is_sent = is_known and bool(sender.notify(title=title, body=body))
        except Exception as error:  # a plugin of some service: anything may come, and its text may hold the URL
            printer.warn(f"{which} was not sent: {type(error).__name__} in apprise")
            continue
        if not is_known:
            printer.warn(f"{which} was not sent: its URL is none that apprise knows")
        elif not is_sent:
            printer.warn(f"{which} was not sent: the service refused it or was not reached")
        delivered += is_sent
    return delivered == len(urls)


@contextmanager
def _silent_log() -> Iterator[None]:
    """Keep apprise from logging: it names the URL, with its token, when it cannot load one."""
    logger = logging.getLogger("apprise")
    was_disabled = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = was_disabled
