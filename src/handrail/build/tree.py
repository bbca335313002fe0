"""A git-tracked tree as bundle members: which files travel, with the content they have in the working tree.

git says what is tracked (the index) and what a glob leaves behind, in one command each; reading and hashing is done
here, with plain system calls, because a tree of thousands of small files is hashed before every deploy.

A tracked file that is gone from the working tree is left out, as the next commit would do. What cannot be shipped
faithfully is refused instead of being shipped wrong: submodules, unresolved merges, links that leave the tree,
files that a sparse checkout or Git LFS left out.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.build.bundle import Member
from handrail.build.git import git
from handrail.build.manifest import leaves_tree
from handrail.errors import ConfigError, UsageError, did_you_mean

if TYPE_CHECKING:
    from handrail.commands import Runner

_LFS = b"version https://git-lfs.github.com/spec/v1\n"
_CHUNK = 1 << 20
_TRUSTS_MODE = ("config", "--type=bool", "--default=true", "core.fileMode")


def list_tree(
    root: Path,
    run: Runner,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    warn: Callable[[str], None] = lambda _text: None,
) -> list[Member]:
    """Return the tracked files and links of ``root``, in the order of their paths' bytes.

    Args:
        include: only these files, or what is in these folders; empty: everything.
        exclude: globs with gitignore's meaning, anchored at ``root``.
        warn: told about a tracked file that is left out because it must not be shipped.

    Raises:
        ConfigError: an ``include`` names nothing; a path cannot be part of a release.
        UsageError: the working tree is in a state that cannot be shipped.
    """
    entries = _tracked(root, run)
    if exclude:
        behind = set(_excluded(root, run, exclude))
        entries = [entry for entry in entries if entry[2] not in behind]
    if include:
        entries = _only(entries, include)
    members = []
    reader = _Reader(root, trusts_mode=git(root, run, *_TRUSTS_MODE).strip() != "false")
    for tag, mode, path in entries:
        if mode == "160000":
            raise ConfigError(
                f"{path} is a git submodule, which a bundle cannot hold",
                next_step=f"list it under build.exclude in pyproject.toml, or vendor it: git rm --cached {path}",
            )
        if path.endswith(".secrets.env"):
            warn(f"{path} is tracked by git and was left out: secrets do not travel in a bundle")
            continue
        member = reader.read(path, mode)
        if member is None and tag == "S":
            raise UsageError(f"{path} is missing: this is a sparse checkout", next_step="git sparse-checkout disable")
        if member is not None:
            members.append(member)
    _check_links(members)
    return members


def _check_links(members: list[Member]) -> None:
    links = {member.path: member.target for member in members if member.kind == "link"}
    for path, target in links.items():
        if leaves_tree(path, links):
            raise ConfigError(
                f"{path} is a link to {target}, outside the tree that is shipped",
                next_step="make it relative and inside the project, or list it under build.exclude in pyproject.toml",
            )


def _tracked(root: Path, run: Runner) -> list[tuple[str, str, str]]:
    """Return (tag, mode, path) of each index entry; tag ``S`` is what a sparse checkout skips."""
    entries = []
    for line in git(root, run, "ls-files", "-z", "-t", "-s", "--cached").split("\0"):
        if not line:
            continue
        facts, _, path = line.partition("\t")
        tag, mode, _, stage = facts.split(" ")
        if stage != "0":
            raise UsageError(f"{path} has an unresolved merge conflict", next_step="git status")
        entries.append((tag, mode, path))
    return entries


def _excluded(root: Path, run: Runner, globs: Sequence[str]) -> list[str]:
    # git anchors a glob at the repository's top; the project may be a folder of it.
    prefix = re.sub(r"([\\*?\[])", r"\\\1", git(root, run, "rev-parse", "--show-prefix").rstrip("\n"))
    words: list[str] = []
    for glob in globs:
        negated, pattern = ("!", glob[1:]) if glob.startswith("!") else ("", glob)
        if "/" in pattern.rstrip("/"):
            pattern = f"/{prefix}{pattern.lstrip('/')}"
        words += ["-x", f"{negated}{pattern}"]
    return [path for path in git(root, run, "ls-files", "-z", "-c", "-i", *words).split("\0") if path]


def _only(entries: list[tuple[str, str, str]], include: Sequence[str]) -> list[tuple[str, str, str]]:
    chosen: set[str] = set()
    for wanted in include:
        name = posixpath.normpath(wanted)
        found = [path for _, _, path in entries if name in (".", path) or path.startswith(f"{name}/")]
        if not found:
            raise ConfigError(
                f"build.include names {wanted!r}, which holds no file that git tracks"
                f"{did_you_mean(name, _names(path for _, _, path in entries))}"
            )
        chosen.update(found)
    return [entry for entry in entries if entry[2] in chosen]


def _names(paths: Iterable[str]) -> set[str]:
    """Return the top-level names, which is what an include list mostly holds."""
    return {path.split("/")[0] for path in paths}


class _Reader:
    """Turns tracked paths into members."""

    def __init__(self, root: Path, *, trusts_mode: bool) -> None:
        self.base = os.fspath(root)
        self.trusts_mode = trusts_mode
        self._reached: dict[str, bool] = {"": True}

    def read(self, path: str, mode: str) -> Member | None:
        """Return the member for a tracked path, or None where the working tree no longer has it."""
        if not self._is_reached(path.rpartition("/")[0]):
            return None
        full = f"{self.base}/{path}"
        try:
            facts = os.lstat(full)
            if stat.S_ISREG(facts.st_mode):
                return self._file(path, full, mode)
            if stat.S_ISLNK(facts.st_mode):
                return Member("link", path, "", 0, 0o777, target=os.readlink(full))  # noqa: PTH115 - Path would tidy it
        except FileNotFoundError:
            return None
        except PermissionError:
            raise UsageError(f"{path} cannot be read: permission denied", next_step=f"ls -l {path}") from None
        if stat.S_ISDIR(facts.st_mode):
            return None  # a folder where the file was: for git, too, the file is deleted
        raise UsageError(f"{path} is neither a file nor a link, which a bundle cannot hold (git has it as {mode})")

    def _is_reached(self, folder: str) -> bool:
        """Return whether a folder is there without passing a link: behind one, git's file is deleted."""
        known = self._reached.get(folder)
        if known is None:
            known = self._is_reached(folder.rpartition("/")[0])
            try:
                known = known and stat.S_ISDIR(os.lstat(f"{self.base}/{folder}").st_mode)
            except (FileNotFoundError, NotADirectoryError):
                known = False
            self._reached[folder] = known
        return known

    def _file(self, path: str, full: str, tracked_mode: str) -> Member:
        # O_NOFOLLOW: what lstat saw and what is opened may differ by then.
        descriptor = os.open(full, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            facts = os.fstat(descriptor)
            data = os.read(descriptor, _CHUNK)
            digest = hashlib.sha256(data)
            size = len(data)
            if size < 200 and data.startswith(_LFS):
                raise UsageError(f"{path} is a Git LFS pointer, not the file itself", next_step="git lfs pull")
            while data:
                data = os.read(descriptor, _CHUNK)
                digest.update(data)
                size += len(data)
        finally:
            os.close(descriptor)
        # Where the file system knows no such bit, git does not believe it either.
        executable = facts.st_mode & stat.S_IXUSR if self.trusts_mode else tracked_mode == "100755"
        mode = 0o755 if executable else 0o644
        return Member("file", path, digest.hexdigest(), size, mode, source=Path(full))
