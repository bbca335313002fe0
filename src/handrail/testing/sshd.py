"""A test host made of the machine's own OpenSSH server and supervisor.

`SshdHost` runs ``sshd`` on a loopback port, as the user who runs the tests. Whoever logs in gets a clean
environment whose HOME is a folder of the test, so that nothing lands in the real home. Several hosts differ in
port and folder, but share this machine's loopback: a fleet that serves one port needs `ContainerHost`. The
process manager is supervisor from PyPI, set up the way a user would without root:
``~/.supervisor/{supervisord.conf,include/,bin/supervisorctl}``.
"""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from handrail.testing.host import (
    Host,
    HostUnavailableError,
    answers_ssh,
    free_port,
    make_key,
    require_program,
    wait_until,
)

_SUPERVISORD_CONF = """\
[unix_http_server]
file = {socket}
chmod = 0700

[supervisord]
nodaemon = true
silent = true
logfile = {folder}/supervisord.log
pidfile = {folder}/supervisord.pid
childlogdir = {folder}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{socket}

[include]
files = include/*.conf
"""


class SshdHost(Host):
    """One OpenSSH server on loopback with its own keys, home folder and supervisor.

    Args:
        folder: an empty folder of the test; the host lives in it.
        name: its alias for clients.
        options: further lines of sshd_config, such as ``{"MaxSessions": "1"}``.
        path: PATH of login sessions; by default the running Python's folder comes first, so that the host's
            ``python3`` has the version that the tests run under.

    Raises on start:
        HostUnavailableError: sshd or supervisor is not installed.
    """

    manager = "supervisor"
    address = "127.0.0.1"

    def __init__(
        self, folder: Path, *, name: str = "host-a", options: Mapping[str, str] | None = None, path: str = ""
    ) -> None:
        self.name = name
        self.folder = folder.resolve()
        self.client_folder = self.folder / "client"
        self.identity = self.client_folder / "id_ed25519"
        self.user = getpass.getuser()
        self.home = str(self.folder / "home")
        self.port = free_port()
        self.path = path or f"{Path(sys.base_prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        self.options = dict(options or {})
        self._log = self.folder / "sshd.log"
        self._sockets = ""
        self._sshd: subprocess.Popen[bytes] | None = None
        self._supervisord: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start supervisor and sshd; a host that was stopped comes back with its keys and files."""
        sshd = require_program("sshd", "Debian: apt install openssh-server")
        if find_spec("supervisor") is None:
            raise HostUnavailableError("supervisor is not installed (pip install 'handrail[sandbox]')")
        for folder in (self.client_folder, Path(self.home), Path(self.home, ".supervisor", "include")):
            folder.mkdir(parents=True, exist_ok=True)
        self._start_supervisord()
        self._start_sshd(sshd)

    def stop(self) -> None:
        """End everything on the host at once, as a power cut does: sshd, sessions, supervisor, services."""
        for process in (self._sshd, self._supervisord):
            if process is not None:
                process.kill()
                process.wait()
        self._sshd = self._supervisord = None
        wait_until(lambda: not self._kill_processes(), f"the last process of {self.name} to end", 10)
        if self._sockets:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def processes(self) -> dict[int, str]:
        """Return the command line of each process of this host, by pid: those that have its HOME."""
        mark = f"HOME={self.home}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                    if any(words):
                        found[int(entry.name)] = " ".join(words).strip()
            except OSError:
                continue  # it ended while we looked, or is somebody else's
        return found

    def host_key(self) -> str:
        """Return the public half of the key that sshd shows."""
        return " ".join(make_key(self.folder / "host_key").split()[:2])

    def ssh_log(self) -> str:
        """Return sshd's log; with DEBUG1 it names each connection and channel."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def _kill_processes(self) -> bool:
        found = self.processes()
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return bool(found)

    def _start_sshd(self, sshd: str) -> None:
        make_key(self.folder / "host_key")
        authorised = self.folder / "authorized_keys"
        authorised.write_text(make_key(self.identity) + "\n", encoding="utf-8")
        login = self.folder / "login"
        login.write_text(self._login_script(), encoding="utf-8")
        login.chmod(0o755)
        lines = {
            "ListenAddress": self.address,
            "Port": str(self.port),
            "HostKey": str(self.folder / "host_key"),
            "AuthorizedKeysFile": str(authorised),
            "LogLevel": "DEBUG1",
            "ForceCommand": str(login),
            # The user's own shell runs ForceCommand, and bash under sshd reads the real home's .bashrc first.
            "SetEnv": f"HOME={self.home}",
            **self.options,
        }
        config = self.folder / "sshd_config"
        config.write_text(sshd_config(lines), encoding="utf-8")
        if os.geteuid() == 0:
            # sshd's folder for separated privileges; its package makes it at boot, which a container skips.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with self._log.open("ab") as log:
            self._sshd = subprocess.Popen(
                [sshd, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._sshd_answers, f"sshd of {self.name}")

    def _sshd_answers(self) -> bool:
        assert self._sshd is not None
        if self._sshd.poll() is not None:
            raise AssertionError(f"sshd ended with {self._sshd.returncode}:\n{self.ssh_log()[-2000:]}")
        return answers_ssh(self.address, self.port)

    def _login_script(self) -> str:
        # sshd takes HOME from the user database and lets the login shell read the real home's start-up files:
        # nothing of either may reach a test.
        words = [f"HOME={self.home}", f"PATH={self.path}", f"USER={self.user}", f"LOGNAME={self.user}"]
        clean = "exec env -i LANG=C.UTF-8 SHELL=/bin/sh " + " ".join(shlex.quote(word) for word in words)
        return (
            "#!/bin/sh\n"
            f"cd {shlex.quote(self.home)} || exit 1\n"
            f'[ -n "$SSH_ORIGINAL_COMMAND" ] || {clean} /bin/sh\n'
            f'{clean} /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n'
        )

    def _start_supervisord(self) -> None:
        # The path of a UNIX socket has about a hundred bytes; test folders are longer than that.
        self._sockets = tempfile.mkdtemp(prefix="handrail-")
        address = f"{self._sockets}/supervisor"
        folder = Path(self.home, ".supervisor")
        conf = folder / "supervisord.conf"
        conf.write_text(_SUPERVISORD_CONF.format(socket=address, folder=folder), encoding="utf-8")
        ctl = folder / "bin" / "supervisorctl"
        ctl.parent.mkdir(exist_ok=True)
        python = shlex.quote(sys.executable)
        ctl.write_text(f'#!/bin/sh\nexec {python} -I -m supervisor.supervisorctl "$@"\n', encoding="utf-8")
        ctl.chmod(0o755)
        with (folder / "output.log").open("ab") as log:
            self._supervisord = subprocess.Popen(
                [sys.executable, "-I", "-m", "supervisor.supervisord", "-c", str(conf)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                env={"HOME": self.home, "PATH": self.path, "USER": self.user, "LANG": "C.UTF-8"},
            )

        def answers() -> bool:
            assert self._supervisord is not None
            if self._supervisord.poll() is not None:
                output = (folder / "output.log").read_text(encoding="utf-8", errors="replace")
                raise AssertionError(f"supervisord ended with {self._supervisord.returncode}:\n{output[-2000:]}")
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(address) == 0

        wait_until(answers, f"supervisord of {self.name}")


def sshd_config(lines: Mapping[str, str]) -> str:
    """Return a test server's sshd_config: keys only, nothing of the machine's own log-ins, and ``lines``."""
    settings = {
        "PidFile": "none",
        "StrictModes": "no",  # test folders are below a world-writable /tmp
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "yes",
        "PrintMotd": "no",
        **lines,
    }
    return "".join(f"{key} {value}\n" for key, value in settings.items())
