"""Neighbours that are there already: workflows, hooks, Dockerfile, compose file, and the branch that counts."""

from __future__ import annotations

import re
from pathlib import Path

from handrail.scaffold.facts import Existing

_COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_BUILDS = re.compile(r"^\s+build:", re.MULTILINE)
_IMAGE = re.compile(r"^\s+image:\s*['\"]?([^\s'\"#]+)", re.MULTILINE)
_HEAD = re.compile(r"ref: refs/(?:heads|remotes/origin)/(\S+)")


def find_existing(root: Path, name: str) -> Existing:
    """Return what is there around the project called ``name``."""
    workflows = root / ".github" / "workflows"
    compose = _first(root, _COMPOSE)
    return Existing(
        workflows=tuple(sorted(path.name for path in workflows.glob("*.y*ml"))),
        branch=_branch(root),
        hooks=_first(root, (".pre-commit-config.yaml", ".pre-commit-config.yml")),
        dockerfile=_first(root, ("Dockerfile", "docker/Dockerfile")),
        compose=compose,
        compose_is_for_development=bool(compose) and _starts_others_alone(root / compose, name),
        is_git=(root / ".git").exists(),
    )


def _starts_others_alone(compose: Path, name: str) -> bool:
    text = _text(compose)
    images = {re.split(r"[:@]", image.rpartition("/")[2])[0].lower() for image in _IMAGE.findall(text)}
    return not _BUILDS.search(text) and name.lower() not in images


def _first(root: Path, names: tuple[str, ...]) -> str:
    return next((name for name in names if (root / name).is_file()), "")


def _branch(root: Path) -> str:
    """Return the remote's main branch, else ``main`` or ``master`` where they exist, else the present one."""
    own, common = _git_folders(root)
    if named := _ref(common / "refs" / "remotes" / "origin" / "HEAD"):
        return named
    known = _text(common / "packed-refs")
    for name in ("main", "master"):
        if (common / "refs" / "heads" / name).is_file() or f" refs/heads/{name}\n" in known:
            return name
    return _ref(own / "HEAD") or "main"


def _git_folders(root: Path) -> tuple[Path, Path]:
    """Return where git keeps what is of this working tree alone, and what all trees of the repository share."""
    own = root / ".git"
    if own.is_file():  # `git worktree add`, or a submodule
        own = root / _text(own).removeprefix("gitdir:").strip()
    return own, own / _text(own / "commondir").strip()


def _ref(path: Path) -> str:
    match = _HEAD.match(_text(path))
    return match[1] if match else ""


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
