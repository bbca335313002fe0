"""Public keys that may deploy: from files, or the one that the set-up itself was let in with. Never a private one."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from pathlib import Path

from handrail.errors import UsageError

_TYPES = re.compile(r"(?:^|\s)((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+)\s+(AAAA[A-Za-z0-9+/]+=*)(?:\s|$)")


def read_keys(paths: Sequence[Path]) -> list[str]:
    """Return the lines of public key files, as authorized_keys has them, with their options and comments.

    Raises:
        UsageError: a file is not there, holds a private key, or a line that is no public key.
    """
    lines: list[str] = []
    for path in paths:
        try:
            text = path.expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise UsageError(f"--authorized-key: {path}: {reason}") from None
        if "PRIVATE KEY" in text:
            raise UsageError(
                f"--authorized-key: {path} is a private key, which never leaves this machine",
                next_step=f"name its public half: --authorized-key {path}.pub",
            )
        found = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        for number, line in enumerate(found, 1):
            if not is_public_key(line):
                raise UsageError(
                    f"--authorized-key: {path}: line {number} is no public key; one is such as: ssh-ed25519 AAAA… me"
                )
        if not found:
            raise UsageError(f"--authorized-key: {path} holds no key")
        lines += [line for line in found if line not in lines]
    return lines


def is_public_key(line: str) -> bool:
    """Return whether a line of authorized_keys holds a key whose inner type is the one that it says."""
    match = _TYPES.search(line)
    if match is None or not line.isprintable():
        return False
    try:
        blob = base64.b64decode(match[2], validate=True)
    except (binascii.Error, ValueError):
        return False
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length] == match[1].encode()
