"""A real PostgreSQL server for tests: on loopback, with a port and a folder of its own, as a user without rights.

Its programs are Debian's (``/usr/lib/postgresql/<version>/bin``) or those on PATH. ``initdb`` refuses root, so
root runs it as another user.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from handrail.testing.host import HostUnavailableError, Started, free_port, wait_until

# A test's server may lose everything in a power cut.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "max_wal_size": "64MB",
    "autovacuum": "off",
}


class PostgresServer(Started):
    """One server; `database` makes a user who may create databases, and a database of that user's.

    Raises on start:
        HostUnavailableError: PostgreSQL's server is not installed.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.password = secrets.token_hex(16)
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the server's folder and start it; return when it answers."""
        initdb = _program("initdb")
        # Below pytest's own folders, another user could not reach it.
        self._folder = Path(tempfile.mkdtemp(prefix="handrail-postgres-"))
        owner = _owner()
        if owner is not None:
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        data, secret, log = (self._folder / name for name in ("data", "password", "log"))
        secret.write_text(self.password, encoding="ascii")
        secret.chmod(0o644)
        self._run([initdb, f"--pgdata={data}", "--username=admin", "--auth=scram-sha-256", f"--pwfile={secret}",
                   "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"])  # fmt: skip
        secret.unlink()
        words = [word for key, value in SETTINGS.items() for word in ("-c", f"{key}={value}")]
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", str(data), "-p", str(self.port), *words],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                **self._as_owner(),
            )
        wait_until(self._answers, "PostgreSQL to answer")

    def stop(self) -> None:
        """End the server at once and delete its folder."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)
            self._process = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def database(self, name: str) -> str:
        """Make a database of this name, and a user of the same name who owns it; return its URL."""
        password = secrets.token_hex(12)
        self.query(f"create role {name} login createdb password '{password}'")
        self.query(f"create database {name} owner {name}")
        return f"postgresql://{name}:{password}@127.0.0.1:{self.port}/{name}"

    def query(self, sql: str, database: str = "postgres") -> list[str]:
        """Run one statement as the administrator; return the answer's lines.

        Raises:
            AssertionError: it failed.
        """
        done = self._psql(sql, database)
        assert done.returncode == 0, f"{sql}: {done.stderr}"
        return done.stdout.splitlines()

    def _psql(self, sql: str, database: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [_program("psql"), "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align",
             "--set=ON_ERROR_STOP=1", f"--command={sql}"],
            env={"PATH": os.defpath, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "admin",
                 "PGPASSWORD": self.password, "PGDATABASE": database, "PGCONNECT_TIMEOUT": "5"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )  # fmt: skip

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._folder is not None
        if self._process.poll() is not None:
            raise AssertionError(f"postgres ended: {(self._folder / 'log').read_text(errors='replace')[-2000:]}")
        return self._psql("select 1", "postgres").returncode == 0

    def _run(self, argv: list[str]) -> None:
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, **self._as_owner())
        assert done.returncode == 0, f"{argv[0]}: {done.stdout}{done.stderr}"

    def _as_owner(self) -> dict[str, Any]:
        owner = _owner()
        environment = {"PATH": os.defpath, "LC_ALL": "C"}
        who = {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        return {"env": environment, "cwd": self._folder, **who}


def _owner() -> pwd.struct_passwd | None:
    """Return the user who runs the server where we are root: the package's own, or nobody."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _program(name: str) -> str:
    """Return one of PostgreSQL's programs; of several versions the newest."""
    found = list(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if found:
        return str(max(found, key=lambda path: float(path.parts[4])))
    path = shutil.which(name)
    if path is None:
        raise HostUnavailableError(f"PostgreSQL's {name} is not installed (Debian: apt install postgresql)")
    return path
