"""Other people's actions in a folder here, so that a run needs no network and gets what the workflow pinned.

One folder an action: ``<owner>/<repository>@<ref>``. ``inv ci --mirror`` fills it where there is internet; it can then
be copied to a machine without. ``actions/checkout`` of the repository itself needs none: act copies the working tree.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.parity.workflows import Job

_CHECKOUT = "actions/checkout"


def mirror_folder(root: Path) -> Path:
    """Return the folder with the actions of the project in ``root``."""
    from handrail.build.cache import cache_folder

    return cache_folder(root) / "actions"


def remote_actions(jobs: Iterable[Job]) -> list[str]:
    """Return ``owner/repository@ref`` of each action that must be had from elsewhere, in order, once."""
    return _remote(step.uses.text for job in jobs for step in job.steps if step.uses)


def missing(actions: Iterable[str], folder: Path) -> list[str]:
    """Return those that are not in the mirror, those that its composite actions use included."""
    return [action for action in with_nested(actions, folder) if not (folder / action).is_dir()]


def with_nested(actions: Iterable[str], folder: Path) -> list[str]:
    """Return ``actions`` and what the composite ones among them use, as far as the mirror shows it."""
    found: list[str] = []
    waiting = list(actions)
    while waiting:
        action = waiting.pop(0)
        if action not in found:
            found.append(action)
            steps = definition(folder / action).get("runs", {}).get("steps", [])
            waiting += _remote(str(step.get("uses") or "") for step in steps if isinstance(step, dict))
    return found


def needs_node(actions: Iterable[str], folder: Path) -> bool:
    """Return whether one of ``actions`` is a program for Node."""
    return any(
        str(definition(folder / action).get("runs", {}).get("using", "")).startswith("node")
        for action in with_nested(actions, folder)
    )


def fill(actions: Iterable[str], folder: Path, runner: Runner) -> list[str]:
    """Fetch what the mirror lacks; return what was fetched.

    Raises:
        TaskFailedError: git could not fetch it.
        UsageError: there is no git.
    """
    fetched: list[str] = []
    while lacking := [action for action in missing(actions, folder) if action not in fetched]:
        for action in lacking:
            _fetch(action, folder, runner)
            fetched.append(action)
    return fetched


def _fetch(action: str, folder: Path, runner: Runner) -> None:
    from handrail.build.git import without_repository

    repository, _, ref = action.partition("@")
    server = os.environ.get("GITHUB_SERVER_URL") or "https://github.com"
    target = folder / action
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target.parent) as temporary:
        work = Path(temporary, "action")
        work.mkdir()
        for words in (
            ["init", "--quiet"],
            ["fetch", "--quiet", "--depth", "1", f"{server}/{repository}", ref],
            ["checkout", "--quiet", "FETCH_HEAD"],
        ):
            runner.run(["git", *words], cwd=work, env=without_repository(os.environ))
        shutil.rmtree(work / ".git")
        # The folder appears in one step: half an action must not count as one.
        work.rename(target)


def definition(folder: Path) -> dict[str, Any]:
    """Return what an action says of itself; empty where it says nothing that can be read."""
    import yaml

    for name in ("action.yml", "action.yaml"):
        try:
            document = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        if isinstance(document, dict) and isinstance(document.get("runs"), dict):
            return document
    return {}


def _remote(uses: Iterable[str]) -> list[str]:
    found = []
    for each in uses:
        name, at, ref = each.partition("@")
        repository = "/".join(name.split("/")[:2])
        if at and "/" in repository and not each.startswith(("./", "docker:")) and repository != _CHECKOUT:
            found.append(f"{repository}@{ref}")
    return list(dict.fromkeys(found))
