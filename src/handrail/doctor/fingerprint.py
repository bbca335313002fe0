"""``inv fingerprint``: what makes this machine different from another one, as a small JSON document.

It is made to be kept as an artifact that others can read, so no value of a variable is in it. A hash would not protect
a short secret either: whoever has it tries all candidates. So only variables that cannot be secret are hashed, those
that the contract declares as none and those that steer Python and the tools; of every other one the name alone is
kept. The document says which are which.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.errors import UsageError

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project

FORMAT = 1
FILE = ".handrail/fingerprint.json"
_PARTS = ("git", "lock", "python", "packages", "tools", "system", "locale", "time", "variables")
_STEERING = re.compile(
    r"CI|LANG|LANGUAGE|LC_[A-Z]+|TZ|NO_COLOR|FORCE_COLOR|COLUMNS|TERM|SOURCE_DATE_EPOCH|PYTHON[A-Z0-9_]+|COVERAGE_[A-Z_]+|"
    r"(?:UV|PIP|PYTEST|NOX|MYPY|RUFF|HANDRAIL)_[A-Z0-9_]+"
)
_WITH_LOGIN = re.compile(r"://[^/\s]*@")


def take(root: Path, project: Project, runner: Runner, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the fingerprint of this machine, for this project."""
    from datetime import datetime, timezone

    from handrail.build.cache import digest_file
    from handrail.build.git import read_git
    from handrail.setup.prerequisites import look, prerequisites

    environ = os.environ if environ is None else environ
    git = read_git(root, runner, untracked=True, required=False)
    return {
        "format": FORMAT,
        "app": project.app,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "git": {"commit": git.commit, "branch": git.branch, "dirty": git.dirty, "autocrlf": _autocrlf(root, runner)},
        "lock": {name: digest_file(root / name) for name in ("uv.lock", "pyproject.toml") if (root / name).is_file()},
        "python": _python(),
        "packages": _packages(),
        "tools": {each.prerequisite.name: each.version for each in look(prerequisites(project), runner)},
        "system": _system(root),
        "locale": _locale(environ),
        "time": _time(),
        "variables": _variables(root, project, environ),
    }


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write a fingerprint; folders are made.

    Raises:
        UsageError: it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None


def read(path: Path, app: str) -> dict[str, Any]:
    """Return a fingerprint of ``app`` that was written elsewhere.

    Raises:
        UsageError: it is not there, is none, or is one of another project.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {(error.strerror or str(error)).lower()}",
            next_step="gh run download --name test-reports fetches what CI has kept",
        ) from None
    except ValueError:
        document = None
    is_one = isinstance(document, dict) and document.get("format") == FORMAT
    if not is_one or not all(isinstance(document.get(part), dict) for part in _PARTS):
        raise UsageError(
            # A name of its own: what was named may be a file of the project's.
            f"{path} is no fingerprint",
            next_step="inv fingerprint --output theirs.json, on the other machine",
        )
    if document.get("app") != app:
        raise UsageError(f"{path} is a fingerprint of {document.get('app')!r}, and this project is {app!r}")
    return dict(document)


def _python() -> dict[str, Any]:
    import platform

    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "build": " ".join(platform.python_build()),
        "in_environment": sys.prefix != sys.base_prefix,
        "optimize": sys.flags.optimize,
        "utf8_mode": bool(sys.flags.utf8_mode),
        "dev_mode": bool(sys.flags.dev_mode),
    }


def _packages() -> dict[str, str]:
    from importlib.metadata import distributions

    from handrail.parity.locked import canonical

    found = {canonical(each.metadata["Name"] or ""): each.version for each in distributions()}
    return {name: found[name] for name in sorted(found) if name}


def _system(root: Path) -> dict[str, Any]:
    import platform
    import resource

    mask = os.umask(0o022)
    os.umask(mask)
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        name = platform.mac_ver()[0]
    return {
        "name": platform.system(),
        "distribution": name,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "cpus": os.cpu_count() or 0,
        "root": os.geteuid() == 0,
        "umask": f"{mask:04o}",
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "case_sensitive": not (root / "PYPROJECT.TOML").exists(),
    }


def _locale(environ: Mapping[str, str]) -> dict[str, str]:
    import locale

    said = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    return {"name": said, "encoding": locale.getpreferredencoding(False), "file_names": sys.getfilesystemencoding()}


def _time() -> dict[str, Any]:
    import time

    moment = time.localtime()
    return {"zone": moment.tm_zone or "", "offset": moment.tm_gmtoff or 0}


def _variables(root: Path, project: Project, environ: Mapping[str, str]) -> dict[str, Any]:
    from handrail.config.contract import load_contract
    from handrail.config.reads import is_secret_name

    declared = load_contract(root).variables

    def may_be_hashed(name: str) -> bool:
        if is_secret_name(name) or _WITH_LOGIN.search(environ[name]):
            return False
        variable = declared.get(name)
        return not variable.secret if variable else bool(_STEERING.fullmatch(name))

    hashed = {name: _keyed(project.app, environ[name]) for name in sorted(environ) if may_be_hashed(name)}
    return {"hashed": hashed, "named": [name for name in sorted(environ) if name not in hashed]}


def _keyed(app: str, value: str) -> str:
    """Return a short digest, keyed by the project: no table of common values fits it."""
    key = f"handrail fingerprint of {app}".encode()
    return hmac.new(key, value.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:16]


def _autocrlf(root: Path, runner: Runner) -> str:
    return runner.run(["git", "config", "core.autocrlf"], cwd=root, check=False).stdout.strip()
