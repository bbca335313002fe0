"""Connections that are opened while something else is done on this machine, such as building the bundle.

Nothing is asked of a host before the run begins: who is let in here has sent no request and started no agent. What went
wrong is raised where the connection is taken, as if it had been opened there.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.deploy.connect import connect

if TYPE_CHECKING:
    import fabric
    from typing_extensions import Self

    from handrail.config.target import Target


class Dialling:
    """Opens a connection to each host in the background; a context that closes those which nobody took."""

    def __init__(self, hosts: Sequence[str], target: Target, root: Path) -> None:
        self._bound = threading.Semaphore(target.connections)
        self._calls: dict[str, Future[fabric.Connection]] = {host: Future() for host in hosts}
        for host, call in self._calls.items():
            # A pool's threads would be waited for at the end of the process, also where the host does not answer.
            threading.Thread(target=self._dial, args=(host, target, root, call), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for host in list(self._calls):
            self._calls.pop(host).add_done_callback(_hang_up)

    def _dial(self, host: str, target: Target, root: Path, call: Future[fabric.Connection]) -> None:
        with self._bound:
            try:
                call.set_result(connect(host, target, root))
            except BaseException as error:
                call.set_exception(error)

    def take(self, host: str, target: Target, root: Path) -> fabric.Connection:
        """Return the connection to a host: the one that was dialled, or where it has been taken a new one.

        Raises:
            PreflightError: as `connect`.
        """
        call = self._calls.pop(host, None)
        return call.result() if call else connect(host, target, root)


def _hang_up(call: Future[fabric.Connection]) -> None:
    with suppress(Exception):
        call.result().close()
