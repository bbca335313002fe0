"""What every test host offers, whatever it is made of.

A host is started and stopped by its class (`SshdHost`, `ContainerHost`), and reached as a user's host is: over
SSH, with a key and a known host key. Waiting is always for a condition, with a limit that fails.
"""

from __future__ import annotations

import http.client
import json
import random
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class HostUnavailableError(Exception):
    """This machine lacks what a test host needs; the message says what, and how to get it."""


class WaitedTooLongError(AssertionError):
    """A condition did not come true in time."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; status 0 stands for a connection that was refused or cut."""

    status: int
    text: str
    headers: dict[str, str]

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.text)


class Started(ABC):
    """What runs as long as its ``with`` block; a start that fails leaves nothing behind."""

    @abstractmethod
    def start(self) -> None:
        """Start it, and wait until it can be used."""

    @abstractmethod
    def stop(self) -> None:
        """End it; calling it again does nothing."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Host(Started):
    """A running machine, as seen from SSH.

    Attributes:
        name: its alias in the ssh_config that `write_client_files` makes.
        user, address, port: where its SSH server is.
        identity: file with the client's private key.
        home: the user's home folder on the host.
        manager: the process manager it has: ``systemd`` or ``supervisor``.
    """

    name: str
    user: str
    address: str
    port: int
    identity: Path
    home: str
    manager: str
    client_folder: Path

    @abstractmethod
    def start(self) -> None:
        """Start everything and wait until an SSH connection is answered."""

    @abstractmethod
    def stop(self) -> None:
        """End every process of the host; calling it again does nothing."""

    @abstractmethod
    def host_key(self) -> str:
        """Return the SSH server's public key as ``<type> <base64>``."""

    @abstractmethod
    def ssh_log(self) -> str:
        """Return what the SSH server has logged, at DEBUG1 or more."""

    def ssh_config(self) -> str:
        """Return this host's block of an ssh_config file, without the known_hosts file."""
        return (
            f"Host {self.name}\n"
            f"    HostName {self.address}\n"
            f"    Port {self.port}\n"
            f"    User {self.user}\n"
            f"    IdentityFile {self.identity}\n"
            f"    IdentitiesOnly yes\n"
        )

    def known_host(self) -> str:
        """Return this host's line of a known_hosts file."""
        name = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        return f"{name} {self.host_key()}\n"

    def run(self, command: str, *, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a shell command over SSH with the system's own client.

        Raises:
            AssertionError: it failed and ``check`` is on; the message holds its output.
        """
        config = self.client_folder / "ssh_config"
        if not config.exists():
            write_client_files(self.client_folder, [self])
        done = subprocess.run(
            ["ssh", "-F", str(config), "-o", "BatchMode=yes", self.name, command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{self.name}: {command!r} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def get(self, port: int, path: str = "/", *, timeout: float = 5.0) -> Answer:
        """Ask the host over HTTP, once."""
        return get(self.address, port, path, timeout=timeout)

    def channels(self) -> int:
        """Return how many SSH channels clients have opened on this host so far, of any type."""
        return self.ssh_log().count("server_input_channel_open: ctype")

    def connections(self) -> int:
        """Return how many SSH logins have succeeded on this host so far."""
        return self.ssh_log().count("Accepted publickey for ")

    @contextmanager
    def counting_channels(self) -> Iterator[Callable[[], int]]:
        """Yield a function that says how many channels were opened since here."""
        before = self.channels()
        yield lambda: self.channels() - before


def get(address: str, port: int, path: str = "/", *, timeout: float = 5.0) -> Answer:
    """Ask over HTTP, once; a refused or cut connection is the status 0, not an exception."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        return Answer(response.status, text, {k.lower(): v for k, v in response.getheaders()})
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, str(error), {})
    finally:
        connection.close()


def write_client_files(folder: Path, hosts: Iterable[Host], *, known: bool = True) -> None:
    """Write ``ssh_config`` and ``known_hosts`` for these hosts into a folder.

    Args:
        known: whether the known_hosts file names the hosts; without, a strict client must refuse them.
    """
    chosen = list(hosts)
    known_hosts = folder / "known_hosts"
    known_hosts.write_text("".join(host.known_host() for host in chosen) if known else "", encoding="utf-8")
    common = f"Host *\n    UserKnownHostsFile {known_hosts}\n    StrictHostKeyChecking yes\n    LogLevel ERROR\n"
    blocks = "\n".join(host.ssh_config() for host in chosen)
    (folder / "ssh_config").write_text(f"{blocks}\n{common}", encoding="utf-8")


def make_key(path: Path) -> str:
    """Make an Ed25519 key pair without a passphrase; return its public line."""
    if not path.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)], check=True)
    return path.with_name(f"{path.name}.pub").read_text(encoding="utf-8").strip()


def require_program(name: str, how: str) -> str:
    """Return a program's path; look in the folders for administrators too.

    Raises:
        HostUnavailableError: it is not installed; ``how`` says how to get it.
    """
    path = shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin:/usr/libexec")
    if path is None:
        raise HostUnavailableError(f"{name} is not installed ({how})")
    return path


# Below what kernels take for outgoing connections, which would be in a service's way now and then; in steps, because a
# service with two instances side by side takes the next port, too. The system's dice: some tests set Python's.
_ports = iter(random.SystemRandom().sample(range(20000, 32000, 4), k=3000))


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listened on a moment ago, and that was not returned before."""
    for port in _ports:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise HostUnavailableError("no TCP port from 20000 to 31999 is free")


def answers_ssh(address: str, port: int) -> bool:
    """Return whether an SSH server says its name there."""
    try:
        with socket.create_connection((address, port), 2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def wait_until(condition: Callable[[], T], what: str, seconds: float = 20.0) -> T:
    """Return the condition's first true value.

    Raises:
        WaitedTooLongError: it was still false after this many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise WaitedTooLongError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.02)
