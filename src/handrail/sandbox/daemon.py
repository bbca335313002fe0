"""The sandbox's one long-lived process: ``python -m handrail.sandbox.daemon FOLDER UPSTREAM READY_FD``.

It takes the lock, starts supervisord and Caddy as its children, serves SSH itself, writes down where everything
is and says ``ready`` on the descriptor that it was given, or one line on why not. It ends when it is told to
(SIGTERM) or when its folder is gone, and takes everything that runs in the sandbox with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import asyncssh

from handrail.errors import HandrailError
from handrail.sandbox import manager, proxy
from handrail.sandbox.access import ensure_key, write_access
from handrail.sandbox.environment import host_environment, prepare_home
from handrail.sandbox.places import Places
from handrail.sandbox.processes import end_members, take_lock
from handrail.sandbox.server import Host

log = logging.getLogger("handrail.sandbox")

START_SECONDS = 20.0
STOP_SECONDS = 20.0
"""Longer than a service's default ``stop_timeout``."""


class Daemon:
    """Everything that runs in one sandbox, as one thing to start and stop.

    Args:
        places: its folder.
        upstream: loopback port that the proxy forwards to; 0: none.
    """

    def __init__(self, places: Places, upstream: int) -> None:
        self.places = places
        self.upstream = upstream
        self.children: dict[str, asyncio.subprocess.Process] = {}
        self.acceptor: asyncssh.SSHAcceptor | None = None
        self.environment = host_environment(places)
        self.run = places.make_run_folder()
        self.told_to_stop = asyncio.Event()

    async def start(self) -> None:
        """Start all parts and write the state.

        Raises:
            HandrailError: one of them did not start.
        """
        remembered = self.places.read_state()
        self._forget_process(remembered)
        prepare_home(self.places)
        http_port = _free_port(remembered.get("http_port", 0))
        supervisor_socket = self.run / "supervisor.sock"
        admin_socket = self.run / "caddy.sock"
        config = proxy.render_config(admin=admin_socket, port=http_port, upstream=self.upstream)
        argv = {
            "supervisord": manager.prepare(self.places, supervisor_socket),
            "caddy": proxy.prepare(self.places, config),
        }
        ssh_port, _, _ = await asyncio.gather(
            self._listen(remembered.get("ssh_port", 0)),
            self._spawn("supervisord", argv["supervisord"], supervisor_socket),
            self._spawn("caddy", argv["caddy"], admin_socket),
        )
        self.places.write_state(
            {
                "pid": os.getpid(),
                "started": time.time(),
                "ssh_port": ssh_port,
                "http_port": http_port,
                "upstream": self.upstream,
                "supervisor_socket": str(supervisor_socket),
                "admin_socket": str(admin_socket),
                "children": {name: child.pid for name, child in self.children.items()},
            }
        )

    def _forget_process(self, state: dict[str, Any]) -> None:
        """Keep the ports only: whoever reads the state must not take an earlier daemon for this one."""
        self.places.write_state({key: state[key] for key in ("ssh_port", "http_port") if key in state})

    async def _listen(self, port: int) -> int:
        host_key = ensure_key(self.places.host_key)
        client_key = ensure_key(self.places.client_key)
        host = Host(self.places.home, self.environment, client_key)
        try:
            self.acceptor = await host.listen(port, host_key)
        except OSError:
            if not port:
                raise
            log.info("port %d is taken by now; choosing another one for SSH", port)
            self.acceptor = await host.listen(0, host_key)
        chosen: int = self.acceptor.get_port()
        write_access(self.places, port=chosen, host_key=host_key)
        return chosen

    async def _spawn(self, name: str, argv: list[str], answers_on: Path) -> None:
        caddy = str(self.places.caddy)
        child = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            cwd=self.places.home,
            env={**self.environment, "XDG_CONFIG_HOME": caddy, "XDG_DATA_HOME": caddy},
            start_new_session=True,
        )
        self.children[name] = child
        deadline = time.monotonic() + START_SECONDS
        while not _answers(answers_on):
            if child.returncode is not None:
                raise HandrailError(f"{name} ended with status {child.returncode} at its start")
            if time.monotonic() > deadline:
                raise HandrailError(f"{name} did not answer within {START_SECONDS:.0f} s")
            await asyncio.sleep(0.02)

    async def serve(self) -> None:
        """Wait until told to stop, or until the folder was deleted or taken over."""
        reported: set[str] = set()
        while not self.told_to_stop.is_set():
            for name, child in self.children.items():
                if child.returncode is not None and name not in reported:
                    reported.add(name)
                    log.error("%s ended with status %d; `inv sandbox.up` starts it again", name, child.returncode)
            if self.places.read_state().get("pid") != os.getpid():
                log.info("the sandbox's folder was deleted: ending")
                return
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.told_to_stop.wait(), 2.0)

    async def stop(self) -> None:
        """End everything: SSH first, so that nothing new comes in, then services, proxy and what is left."""
        if self.acceptor:
            self.acceptor.close()
        for child in self.children.values():
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
        waits = [child.wait() for child in self.children.values()]
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.gather(*waits), STOP_SECONDS)
        # In a thread: our children among them are reaped by this loop.
        await asyncio.to_thread(end_members, self.places.folder)
        if self.places.folder.exists():
            self._forget_process(self.places.read_state())
        shutil.rmtree(self.run, ignore_errors=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _free_port(wanted: int) -> int:
    """Return ``wanted`` where it is free, else any free loopback port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # As the server will: connections of an earlier one that linger do not make the port taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise HandrailError("no loopback port is free")


async def _live(places: Places, upstream: int, tell: Any) -> int:
    daemon = Daemon(places, upstream)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.told_to_stop.set)
    try:
        await daemon.start()
        log.info("ready")
        tell("ready")
        await daemon.serve()
    except (HandrailError, OSError, asyncssh.Error) as error:
        log.error("%s", error)
        tell(str(error))
        return 1
    finally:
        await daemon.stop()
        log.info("ended")
    return 0


def main(arguments: list[str]) -> int:
    """Run until told to stop; return the exit status."""
    places = Places(Path(arguments[0]))
    ready_fd = int(arguments[2])
    os.set_inheritable(ready_fd, False)
    os.umask(0o022)
    # A shell that starts something in the background makes it deaf to these, and its children inherit that.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("asyncssh").setLevel(logging.WARNING)

    def tell(text: str) -> None:
        # Whoever started us may have been interrupted meanwhile.
        with contextlib.suppress(OSError):
            os.write(ready_fd, (" ".join(text.split()) + "\n").encode())
            os.close(ready_fd)

    held = take_lock(places.lock)
    if held is None:
        tell("ready")
        return 0
    return asyncio.run(_live(places, int(arguments[1]), tell))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
