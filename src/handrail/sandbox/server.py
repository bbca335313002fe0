"""The SSH server: one user, one key, commands only.

No passwords, no forwarding, no subsystems: what a deploy needs and what a small sshd would allow.
"""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import asyncssh

from handrail.sandbox.access import ADDRESS, login_name
from handrail.sandbox.session import CommandSession

log = logging.getLogger("handrail.sandbox")

MAX_SESSIONS = 10
"""Commands at a time on one connection, as in sshd."""
LOGIN_SECONDS = 30


class Host:
    """What the server's connections share.

    Args:
        home: folder in which commands start.
        environment: their whole environment.
        client_key: the public half of the only key that is let in.
    """

    def __init__(self, home: Path, environment: dict[str, str], client_key: asyncssh.SSHKey) -> None:
        self.home = home
        self.environment = environment
        self.client_key = client_key
        self.user = login_name()
        self.running: set[int] = set()
        """Process ids of the commands that run; each leads its process group."""
        self.numbers = itertools.count(1)

    async def listen(self, port: int, host_key: asyncssh.SSHKey) -> asyncssh.SSHAcceptor:
        """Accept connections on a loopback port, 0 for any free one.

        Raises:
            OSError: the port is taken.
        """
        return await asyncssh.listen(
            ADDRESS,
            port,
            server_factory=lambda: _Connection(self),
            server_host_keys=[host_key],
            server_version="Handrail_sandbox",
            encoding=None,
            line_editor=False,
            login_timeout=LOGIN_SECONDS,
            agent_forwarding=False,
            x11_forwarding=False,
            gss_host=None,
        )


class _Connection(asyncssh.SSHServer):
    def __init__(self, host: Host) -> None:
        self._host = host
        self._name = ""
        self._sessions: list[CommandSession] = []
        self._opened = 0

    def auth_completed(self) -> None:
        self._name = f"connection {next(self._host.numbers)}"
        log.info("%s: opened", self._name)

    def connection_lost(self, exc: Exception | None) -> None:
        # Those that never logged in (a scan, a probe) are nothing to read about. The number of sessions is
        # written down so that what a deploy opens can be counted from outside.
        if self._name:
            log.info("%s: closed after %d sessions%s", self._name, self._opened, f" ({exc})" if exc else "")

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        is_known = key.public_data == self._host.client_key.public_data
        return is_known and username == self._host.user

    def session_requested(self) -> CommandSession:
        self._sessions = [session for session in self._sessions if session.channel is not None]
        if len(self._sessions) >= MAX_SESSIONS:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, f"{MAX_SESSIONS} sessions are open")
        self._opened += 1
        name = f"{self._name}, session {self._opened}"
        session = CommandSession(name, self._host.home, self._host.environment, self._host.running)
        self._sessions.append(session)
        return session
