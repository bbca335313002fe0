"""Keys, and the files through which a client finds the sandbox and knows that it is the right one."""

from __future__ import annotations

import os
import pwd
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.errors import ConfigError
from handrail.sandbox.places import Places, write_private

if TYPE_CHECKING:
    import asyncssh

ADDRESS = "127.0.0.1"
ALIAS = "sandbox"


def login_name() -> str:
    """Return the current user's name; the number where the system has no entry for it."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def ensure_key(path: Path) -> asyncssh.SSHKey:
    """Return the private key in ``path``, made on first use with mode 0600.

    Raises:
        ConfigError: the file is there but holds no key.
    """
    import asyncssh

    if not path.exists():
        made = asyncssh.generate_private_key("ssh-ed25519", comment=f"handrail {ALIAS}")
        write_private(path, made.export_private_key().decode("ascii"))
    # Whatever a backup or a copy made of it: ssh refuses a key that others can read.
    path.chmod(0o600)
    try:
        return asyncssh.read_private_key(path)
    except (asyncssh.KeyImportError, OSError) as error:
        raise ConfigError(
            f"{path}: the sandbox's key cannot be read: {error}", next_step="inv sandbox.down --purge"
        ) from None


def public_text(key: asyncssh.SSHKey) -> str:
    """Return ``<type> <base64>``, without comment."""
    return " ".join(key.export_public_key().decode("ascii").split()[:2])


def render_ssh_config(places: Places, *, port: int, user: str) -> str:
    """Return an ssh_config with the one host ``sandbox``.

    Handrail and ``ssh`` read the user's own file as well, and the first value wins: what a ``Host *`` there could
    turn away from the sandbox is named here.
    """
    return f"""\
# Written by `inv sandbox.up`. Try: ssh -F {shlex.quote(str(places.ssh_config))} {ALIAS}
Host {ALIAS}
    HostName {ADDRESS}
    Port {port}
    User {user}
    IdentityFile "{places.client_key}"
    IdentitiesOnly yes
    IdentityAgent none
    PreferredAuthentications publickey
    UserKnownHostsFile "{places.known_hosts}"
    StrictHostKeyChecking yes
    UpdateHostKeys no
    ProxyJump none
    ProxyCommand none
    ControlPath none
    ForwardAgent no
    ForwardX11 no
    RequestTTY no
"""


def write_access(places: Places, *, port: int, host_key: asyncssh.SSHKey) -> None:
    """Write ssh_config and known_hosts for a server that listens on ``port``."""
    write_private(places.ssh_config, render_ssh_config(places, port=port, user=login_name()))
    write_private(places.known_hosts, f"[{ADDRESS}]:{port} {public_text(host_key)}\n")
