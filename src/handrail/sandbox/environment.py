"""What a session on the sandbox finds: a host's clean environment, not that of whoever started it."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from handrail.sandbox.access import login_name
from handrail.sandbox.places import Places, write_private
from handrail.sandbox.processes import MARK

# What sshd gives by default, and where macOS has what is not part of it.
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/opt/homebrew/bin"
# About the machine and not about the user's project.
_KEPT = ("LANG", "LANGUAGE", "TZ", "TMPDIR")


def prepare_home(places: Places) -> None:
    """Make the home folder and the host's ``python3``: the interpreter behind the one that runs this.

    A script and not a link, so that releases refer to the interpreter's own path.
    """
    places.home.mkdir(mode=0o700, exist_ok=True)
    places.bin.mkdir(exist_ok=True)
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    write_private(places.bin / "python3", f'#!/bin/sh\nexec {shlex.quote(str(python))} "$@"\n', 0o755)


def host_environment(places: Places) -> dict[str, str]:
    """Return the environment of everything that runs on the sandbox."""
    name = login_name()
    kept = {key: value for key, value in os.environ.items() if key in _KEPT or key.startswith("LC_")}
    return {
        **kept,
        "HOME": str(places.home),
        "USER": name,
        "LOGNAME": name,
        "SHELL": "/bin/sh",
        "PATH": f"{places.bin}:{_PATH}",
        MARK: str(places.folder),
    }
