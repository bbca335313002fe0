"""Many hosts on one machine: OpenSSH servers on loopback addresses, each host with a home folder of its own.

One sshd takes 16 addresses at most, so a hundred hosts are seven processes. What a host is follows from the
address that was called: the login script makes ``<folder>/<address>`` the HOME, so that each host has its own
app root, store, lock and history. They share this machine's loopback, therefore they run no service.
"""

from __future__ import annotations

import copy
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from handrail.testing.host import (
    Host,
    Started,
    answers_ssh,
    free_port,
    make_key,
    require_program,
    wait_until,
    write_client_files,
)
from handrail.testing.sshd import sshd_config

ADDRESSES_EACH = 16
"""What one sshd listens on at most (MAX_LISTEN_SOCKS)."""


class LoopbackHost(Host):
    """One of a fleet's hosts; the fleet starts and stops it."""

    manager = "systemd"

    def __init__(self, name: str, address: str, port: int, home: Path, identity: Path, key: str) -> None:
        self.name, self.address, self.port = name, address, port
        self.user = "root" if os.geteuid() == 0 else os.environ.get("USER", "")
        self.home = str(home)
        self.identity = identity
        self.client_folder = identity.parent
        self._key = key

    def start(self) -> None:
        """Do nothing: see `LoopbackFleet`."""

    def stop(self) -> None:
        """Do nothing: see `LoopbackFleet`."""

    def host_key(self) -> str:
        return self._key

    def ssh_log(self) -> str:
        return ""


class LoopbackFleet(Started):
    """``count`` hosts, ``hosts``, from ``host-001`` on.

    Args:
        folder: an empty folder of the test.

    Raises on start:
        HostUnavailableError: sshd is not installed.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder.resolve()
        self.hosts: list[LoopbackHost] = []
        self._count = count
        self._port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the SSH servers and wait until they answer."""
        sshd = require_program("sshd", "Debian: apt install openssh-server")
        (self.folder / "client").mkdir(parents=True)
        identity = self.folder / "client" / "id_ed25519"
        (self.folder / "authorized_keys").write_text(make_key(identity) + "\n", encoding="utf-8")
        key = " ".join(make_key(self.folder / "host_key").split()[:2])
        for number in range(1, self._count + 1):
            address = f"127.0.{50 + number // 200}.{number % 200 + 1}"
            home = self.folder / address
            home.mkdir()
            self.hosts.append(LoopbackHost(f"host-{number:03}", address, self._port, home, identity, key))
        write_client_files(self.folder / "client", self.hosts)
        login = self.folder / "login"
        login.write_text(_LOGIN.format(folder=shlex.quote(str(self.folder)), path=_path()), encoding="utf-8")
        login.chmod(0o755)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for first in range(0, self._count, ADDRESSES_EACH):
            self._start(sshd, first // ADDRESSES_EACH, self.hosts[first : first + ADDRESSES_EACH])
        wait_until(lambda: all(answers_ssh(h.address, h.port) for h in self.hosts), "the fleet's sshd to answer")

    def stop(self) -> None:
        """End the SSH servers; sessions that are open end with their clients."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()

    def _start(self, sshd: str, number: int, hosts: Sequence[LoopbackHost]) -> None:
        config = self.folder / f"sshd_config_{number}"
        lines = {
            "HostKey": str(self.folder / "host_key"),
            "AuthorizedKeysFile": str(self.folder / "authorized_keys"),
            "ForceCommand": str(self.folder / "login"),
            # Each host of a real fleet counts its own connections; here up to 16 hosts share one server.
            "MaxStartups": "1000",
            # Bash under sshd reads the real home's .bashrc, before it runs the login script.
            "SetEnv": f"HOME={self.folder / 'client'}",
            "LogLevel": "ERROR",
            # Other tools upload with it.
            "Subsystem": f"sftp {_sftp_server()}",
        }
        listen = "".join(f"ListenAddress {host.address}:{host.port}\n" for host in hosts)
        config.write_text(listen + sshd_config(lines), encoding="utf-8")
        with (self.folder / f"sshd_{number}.log").open("ab") as log:
            argv = [sshd, "-D", "-e", "-f", str(config)]
            self._processes.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log))


class Distance(Started):
    """A delay in front of hosts, as of a network: ``hosts`` are the same ones, ``seconds`` of round-trip time away.

    Bandwidth is not limited. One process with one event loop serves all of them, see `handrail.testing.delay`.
    """

    def __init__(self, hosts: Sequence[Host], seconds: float) -> None:
        self.hosts: list[Host] = []
        self._seconds = seconds
        self._behind = list(hosts)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the delay and wait until the hosts answer through it."""
        if not self._seconds:
            self.hosts = self._behind
            return
        port = free_port()
        self.hosts = [copy.copy(host) for host in self._behind]
        ways = []
        for near, far in zip(self.hosts, self._behind, strict=True):
            near.port = port
            ways.append([[near.address, port], [far.address, far.port]])
        argv = [sys.executable, "-m", "handrail.testing.delay", str(self._seconds)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(ways).encode() + b"\n")
        self._process.stdin.flush()
        wait_until(lambda: all(answers_ssh(h.address, h.port) for h in self.hosts), "the delay to listen", 60)

    def stop(self) -> None:
        """End the delay, and the connections through it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


# One shell, as at a host's login: each further program would be counted as work of the tools that are measured here.
_LOGIN = """#!/bin/sh
set -- $SSH_CONNECTION
HOME={folder}/$3
set --
cd "$HOME" || exit 1
command=${{SSH_ORIGINAL_COMMAND:-exec /bin/sh}}
unset SSH_ORIGINAL_COMMAND BASH_ENV ENV
export HOME LANG=C.UTF-8 SHELL=/bin/sh PATH={path} USER LOGNAME
eval "$command"
"""


def _sftp_server() -> str:
    places = ("/usr/lib/openssh", "/usr/libexec", "/usr/libexec/openssh", "/usr/lib/ssh")
    return shutil.which("sftp-server", path=":".join(places)) or "internal-sftp"


def _path() -> str:
    # Not a version manager's shim, which takes longer than the python behind it.
    return shlex.quote(f"{Path(sys.base_prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
