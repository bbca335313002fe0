"""What git says of a working tree: commit, branch, whether it is clean, and when the commit was made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.errors import UsageError

if TYPE_CHECKING:
    from handrail.commands import Runner

# Zip files know no earlier time; this is what a build without a commit is dated.
EARLIEST = 315532800
# What Handrail itself writes into a project says nothing of the project.
_OWN_FOLDERS = (".handrail", "dist")
_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


@dataclass(frozen=True)
class GitFacts:
    """A working tree's state.

    Attributes:
        commit: full sha; ``""`` without a repository or before its first commit.
        branch: ``""`` on a detached head.
        dirty: whether the project's folder differs from the commit, or there is none to compare it with.
        epoch: seconds since 1970 of the commit; `EARLIEST` where there is none.
    """

    commit: str = ""
    branch: str = ""
    dirty: bool = True
    epoch: int = EARLIEST


def without_repository(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without what git's hooks export: it names a repository, and what counts is the folder."""
    return {name: value for name, value in environ.items() if name not in _REPOSITORY}


def git(root: Path, run: Runner, *words: str) -> str:
    """Run a git command that only reads, in ``root``; return its output."""
    env = {**without_repository(os.environ), "LC_ALL": "C"}
    return run.run(["git", "--no-optional-locks", *words], cwd=root, env=env).stdout


def find_repository(root: Path) -> Path | None:
    """Return the nearest folder at or above ``root`` that is a git working tree."""
    folder = root.resolve()
    return next((place for place in (folder, *folder.parents) if (place / ".git").exists()), None)


def read_git(root: Path, run: Runner, *, untracked: bool, required: bool) -> GitFacts:
    """Return what git says of ``root``.

    Args:
        untracked: whether a file that git does not know makes the folder dirty; a wheel would hold it, a tree not.
        required: whether a missing repository is an error.

    Raises:
        UsageError: there is no repository and one is required.
        TaskFailedError: git refused.
    """
    repository = find_repository(root)
    if repository is None:
        if required:
            raise UsageError(
                f"{root} is not in a git repository, and a bundle holds the files that git tracks",
                next_step="git init && git add . && git commit -m 'First commit'",
            )
        return GitFacts()
    mode = "normal" if untracked else "no"
    words = ["status", "--porcelain=v2", "--branch", "-z", f"--untracked-files={mode}", "--", "."]
    below = (root.resolve() / ".").relative_to(repository).as_posix()
    own = {f"? {name}/" if below == "." else f"? {below}/{name}/" for name in _OWN_FOLDERS}
    entries = [entry for entry in git(root, run, *words).split("\0") if entry and entry not in own]
    headers = dict(entry[2:].split(" ", 1) for entry in entries if entry.startswith("# ") and " " in entry[2:])
    commit = headers.get("branch.oid", "")
    branch = headers.get("branch.head", "")
    if commit in ("", "(initial)"):
        return GitFacts(branch=branch)
    epoch = git(root, run, "log", "-1", "--format=%ct", commit).strip()
    return GitFacts(
        commit=commit,
        branch="" if branch == "(detached)" else branch,
        dirty=any(not entry.startswith("# ") for entry in entries),
        epoch=max(EARLIEST, int(epoch)) if epoch.isdigit() else EARLIEST,
    )
