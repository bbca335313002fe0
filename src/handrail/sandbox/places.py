"""Where everything of one sandbox is."""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handrail.errors import UsageError
from handrail.writing import write_whole

FOLDER = ".handrail/sandbox"
"""Relative to the project; environments name files in it in pyproject.toml."""

# macOS has room for 104 bytes in a Unix socket's address, Linux for 108. supervisord binds "<name>.<pid>" first.
LONGEST_SOCKET = 104 - len("/supervisor.sock") - 12

# Each has a meaning in a file that holds such a path: supervisord's INI and its globs, ssh_config, a shell.
_UNSAFE = re.compile(r"""[\x00-\x1f\x7f"'\\;$`%*?\[\]{}]""")


@dataclass(frozen=True)
class Places:
    """Paths below the sandbox's folder, which is absolute."""

    folder: Path

    @classmethod
    def of(cls, root: Path) -> Places:
        """Return the places of the project in ``root``.

        Raises:
            UsageError: the project's path holds a character that the sandbox's programs cannot be given.
        """
        folder = root.resolve() / FOLDER
        if found := _UNSAFE.search(str(folder)):
            raise UsageError(
                f"{root}: a sandbox cannot be in a folder with {found.group()!r} in its path",
                next_step="move the project to a folder with letters, digits, spaces, '-', '_' and '.' in its path",
            )
        return cls(folder)

    @property
    def lock(self) -> Path:
        """Held by the daemon as long as it lives; its content is the daemon's process id."""
        return self.folder / "lock"

    @property
    def turn(self) -> Path:
        """Held by whoever starts or stops the sandbox; outside of the folder, which may be deleted meanwhile."""
        return self.folder.with_name("sandbox.lock")

    @property
    def state(self) -> Path:
        """What the daemon tells others, as JSON; its ports are remembered after it has ended."""
        return self.folder / "state.json"

    @property
    def log(self) -> Path:
        """What the daemon, supervisord and Caddy have to say."""
        return self.folder / "sandbox.log"

    @property
    def host_key(self) -> Path:
        """The SSH server's private key."""
        return self.folder / "host_key"

    @property
    def client_key(self) -> Path:
        """The only private key that the SSH server lets in."""
        return self.folder / "client_key"

    @property
    def ssh_config(self) -> Path:
        """Host ``sandbox``, for Handrail and for ``ssh -F``."""
        return self.folder / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        """The host key, as clients know it."""
        return self.folder / "known_hosts"

    @property
    def bin(self) -> Path:
        """First on the host's PATH."""
        return self.folder / "bin"

    @property
    def home(self) -> Path:
        """The user's home on the host; apps land in ``apps/``."""
        return self.folder / "home"

    @property
    def caddy(self) -> Path:
        """Caddy's own data, and its configuration ``caddy.json``."""
        return self.folder / "caddy"

    @property
    def supervisor(self) -> Path:
        """Where an agent looks for a user's own supervisor."""
        return self.home / ".supervisor"

    def read_state(self) -> dict[str, Any]:
        """Return what the last daemon wrote; empty when there was none or its file is damaged."""
        try:
            found = json.loads(self.state.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace the state in one step: a reader sees the old one or the new one."""
        write_private(self.state, json.dumps(state, indent=1, sort_keys=True) + "\n")

    def make_run_folder(self) -> Path:
        """Return a new or emptied folder of mode 0700 whose path is short enough for sockets."""
        run = self.folder / "run"
        if len(os.fsencode(run)) <= LONGEST_SOCKET:
            run.mkdir(mode=0o700, exist_ok=True)
            for left in run.iterdir():
                left.unlink()
            return run
        return Path(tempfile.mkdtemp(prefix="handrail-"))


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file in one step that never was readable by anybody else."""
    write_whole(path, text.encode("utf-8"), mode=mode)
