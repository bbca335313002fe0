"""Who deploys, as history and lock name them."""

from __future__ import annotations

import getpass
import os
import socket


def who() -> str:
    """Return who deploys, as history and lock name them: ``user@machine``, or the CI run."""
    if os.environ.get("GITHUB_ACTIONS"):
        actor, run = os.environ.get("GITHUB_ACTOR", "github"), os.environ.get("GITHUB_RUN_ID", "")
        return f"{actor} (GitHub run {run})"
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
