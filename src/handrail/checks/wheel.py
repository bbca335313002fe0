"""What a matrix session installs: the locked packages, and the wheel that ``inv build`` made.

Several sessions run at once and all want the same two things, so they are made under one file lock (the kernel
frees it when its holder dies) and appear by renaming. The wheel in ``dist/`` is taken as it is unless a file that
can go into it is newer; then it is built again by the function behind ``inv build``.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.build.tools import find_uv
from handrail.errors import UsageError

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project
    from handrail.ui import Printer

DIST = "dist"
_CACHE = ".handrail/cache/matrix"
_NOT_IN_A_WHEEL = ("tests", "docs", "scripts", "examples", "env", "dist", "build")
_NEVER_IN_A_WHEEL = ("__pycache__", ".git", ".nox", ".tox", ".venv")


@dataclass(frozen=True)
class Ingredients:
    """Paths of requirements files and of the wheel.

    Attributes:
        requirements: what is locked by hash.
        unhashed: what is locked without one: a folder, or a commit of a repository; without what these need.
        plain: what a plain tree lists, and nobody has locked.
    """

    requirements: Path
    unhashed: Path | None
    wheel: Path | None
    plain: Path | None = None


def session_ingredients(root: Path, project: Project, runner: Runner, printer: Printer) -> Ingredients:
    """Return what a session installs, making what is missing or old.

    Raises:
        UsageError: there is no uv.lock.
        TaskFailedError: uv refused, or the build failed.
    """
    from handrail.build.development import plain_requirements
    from handrail.build.package import bundle_kind

    with exclusive(root / _CACHE / "lock"):
        requirements = locked_requirements(root, runner)
        is_package = bundle_kind(project, root) == "wheel"
        plain = plain_requirements(root, project)
        wheel = fresh_wheel(root, project, runner, printer) if is_package else None
        unhashed = unhashed_beside(requirements)
        return Ingredients(
            requirements, unhashed if unhashed.stat().st_size else None, wheel, root / plain if plain else None
        )


def locked_requirements(root: Path, runner: Runner) -> Path:
    """Return a requirements file with the hash of every locked package, extras and development tools included.

    What has no hash is in `unhashed_beside` it: one line of those would be refused with all the others.
    """
    lock = root / "uv.lock"
    if not lock.is_file():
        raise UsageError("the matrix installs locked packages, and there is no uv.lock", next_step="uv lock")
    key = hashlib.sha256(lock.read_bytes() + (root / "pyproject.toml").read_bytes()).hexdigest()[:16]
    path = root / _CACHE / f"requirements-{key}.txt"
    if not path.is_file() or not unhashed_beside(path).is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        runner.run([*export_argv(draft), *_without_itself(root)], cwd=root)
        hashed, unhashed = split_by_hash(draft.read_text("utf-8"))
        unhashed_beside(path).write_text(unhashed, "utf-8")
        draft.write_text(hashed, "utf-8")
        draft.replace(path)
    return path


def unhashed_beside(requirements: Path) -> Path:
    """Return the path of the file with what has no hash."""
    return requirements.with_name(requirements.name.replace("requirements-", "unhashed-"))


def split_by_hash(text: str) -> tuple[str, str]:
    """Return the entries of an exported file that have hashes, and those that have none (folders, repositories)."""
    entries: list[str] = []
    for line in text.splitlines(keepends=True):
        # What belongs to an entry is indented below it.
        if line.strip() and not line.startswith((" ", "#")):
            entries.append(line)
        elif entries:
            entries[-1] += line
    hashed = [entry for entry in entries if "--hash=" in entry]
    return "".join(hashed), "".join(entry for entry in entries if entry not in hashed)


def export_argv(path: Path) -> list[str]:
    """Return the command that writes the locked packages to ``path``."""
    return [
        find_uv(), "export", "--quiet", "--locked", "--all-extras", "--no-emit-project", "--no-header",
        "--format", "requirements-txt", "--output-file", str(path),
    ]  # fmt: skip


def _without_itself(root: Path) -> list[str]:
    """Return the words that leave the project out where a uv source, not a ``[project]`` table, makes it known."""
    from handrail.build.development import own_sources

    return [word for name in own_sources(root) for word in ("--no-emit-package", name)]


def fresh_wheel(root: Path, project: Project, runner: Runner, printer: Printer) -> Path:
    """Return the wheel in ``dist/``, built again when a file that can go into it is newer."""
    wheel = newest_wheel(root, project)
    if wheel is not None and wheel.stat().st_mtime_ns >= newest_source(root):
        return wheel
    from handrail.build.git import read_git
    from handrail.build.package import build_package
    from handrail.build.platforms import running_python

    started = time.time_ns()
    git = read_git(root, runner, untracked=True, required=False)
    python = project.build.python or running_python()
    package = build_package(root, python=python, epoch=git.epoch, run=runner, printer=printer)
    return _publish(package.wheel, root / DIST, started)


def newest_wheel(root: Path, project: Project) -> Path | None:
    """Return the project's wheel that was built last, or None."""
    from handrail.config.load import parse_toml, read_text

    declared = parse_toml(read_text(root, "pyproject.toml")).get("project", {})
    name = str(declared.get("name") or project.app)
    prefix = "".join(c if c.isalnum() else "_" for c in name.lower())
    wheels = [path for path in (root / DIST).glob("*.whl") if path.name.lower().startswith(f"{prefix}-")]
    return max(wheels, key=lambda path: path.stat().st_mtime_ns, default=None)


def newest_source(root: Path) -> int:
    """Return the latest change, in ns since 1970, of what can go into a wheel.

    Folders count too: deleting a file changes only its folder. A checkout sets new times, which
    builds once too often rather than once too seldom.
    """
    times = [path.lstat().st_mtime_ns for path in _sources(root)]
    return max(times, default=0)


def _publish(wheel: Path, folder: Path, built_at: int) -> Path:
    """Put a copy of ``wheel`` into ``folder`` in one step, dated with the time (ns) its build began."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{wheel.name}.{os.getpid()}"
    shutil.copyfile(wheel, draft)
    # A source that changed while it was built must count as newer.
    os.utime(draft, ns=(built_at, built_at))
    return draft.replace(folder / wheel.name)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock on ``path``, waiting for it, between processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_a_tools(folder: str) -> bool:
    """Whether a folder of this name is a tool's: ``.mypy_cache`` is one, the package ``page_cache`` is not."""
    return folder in _NEVER_IN_A_WHEEL or (folder.startswith(".") and folder.endswith("_cache"))


def _sources(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        at_top = here == root
        folders[:] = [name for name in folders if not _is_a_tools(name)]
        if at_top:
            # The top folder changes with every report and cache; what it loses, pyproject.toml knows.
            folders[:] = [name for name in folders if not name.startswith(".") and name not in _NOT_IN_A_WHEEL]
            files = [name for name in files if not name.startswith(".") and not name.endswith(".md")]
        else:
            # A package may take anything along: a page of text, a template whose name begins with a dot.
            yield here
        yield from (here / name for name in files if not name.endswith(".pyc"))
