"""The tools that build: where uv is, how pip is called, and the environment both run in."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from handrail.commands import missing_program

# pip's name for a setting, and uv's names for the same.
_SAME = {
    "PIP_INDEX_URL": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "PIP_EXTRA_INDEX_URL": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "PIP_FIND_LINKS": ("UV_FIND_LINKS",),
}


def find_uv() -> str:
    """Return the path of uv: the one that was installed with Handrail, else the one on PATH.

    Raises:
        UsageError: there is none.
    """
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise missing_program("uv")
    return found


def uv_version() -> str:
    """Return the version of the uv distribution that Handrail was installed with."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("uv")
    except PackageNotFoundError:
        raise missing_program("uv") from None


def pip_command(python: Path | None = None) -> list[str]:
    """Return the start of a pip command line; ``python``: the interpreter it works for, not this one."""
    target = ["--python", str(python)] if python else []
    return [sys.executable, "-m", "pip", *target, "--no-input", "--disable-pip-version-check"]


def clean_environment() -> dict[str, str]:
    """Return this process's environment, without the virtual environment that happens to be active."""
    return {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}


def tool_environment(epoch: int) -> dict[str, str]:
    """Return the environment in which uv and pip resolve, fetch and build.

    The user's settings pass through untouched. Where an index is set for one of the two only, the other one is told
    too: the user chose an index, not the tool that Handrail happens to ask it with.

    Args:
        epoch: seconds since 1970 that built archives are dated with.
    """
    values = clean_environment()
    for pip_name, uv_names in _SAME.items():
        uv_values = [values[name] for name in uv_names if values.get(name)]
        if uv_values and not values.get(pip_name):
            # uv separates links by comma, pip by space; both separate indexes by space. uv may name an index: x=https:…
            words = " ".join(uv_values).replace(",", " ").split()
            values[pip_name] = " ".join(re.sub(r"^[A-Za-z0-9_.-]+=", "", word) for word in words)
        elif values.get(pip_name) and not uv_values:
            separator = "," if pip_name == "PIP_FIND_LINKS" else " "
            values[uv_names[0]] = separator.join(values[pip_name].split())
    if values.get("UV_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        values.setdefault("PIP_NO_INDEX", "1")
    values.setdefault("SOURCE_DATE_EPOCH", str(epoch))
    # A build that would first fetch an interpreter from the network is not what was asked for.
    values.setdefault("UV_PYTHON_DOWNLOADS", "never")
    return values
