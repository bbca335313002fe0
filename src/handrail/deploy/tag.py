"""The git tag of a release: ``deploy/<environment>/<release>`` on the commit that was deployed.

The tag is lightweight, so that a CI runner needs no git identity, and stays in this clone: pushing it is the
project's decision, for example in an ``after_commit`` hook.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from handrail.errors import TaskFailedError, UsageError

if TYPE_CHECKING:
    from handrail.commands import Runner


def tag_name(env: str, release: str) -> str:
    return f"deploy/{env}/{release}"


def tag_release(root: Path, env: str, release: str, commit: str, runner: Runner) -> str:
    """Tag ``commit`` in the repository at ``root`` and return the tag's name; a repetition changes nothing.

    Raises:
        UsageError: there is no commit (the project is not in git, or had none).
        TaskFailedError: git refused, or the tag exists on another commit.
    """
    if not commit:
        raise UsageError(f"release {release} was built from no git commit, so it cannot be tagged")
    name = tag_name(env, release)
    existing = runner.run(
        ["git", "rev-parse", "--verify", "--quiet", f"refs/tags/{name}^{{commit}}"], cwd=root, check=False
    )
    found = existing.stdout.strip()
    if existing.returncode == 0 and found == commit:
        return name
    if existing.returncode == 0:
        raise TaskFailedError(
            f"git tag {name} exists on commit {found[:12]}, not on {commit[:12]}",
            step="tag",
            next_step=f"git tag --force {name} {commit[:12]}",
        )
    runner.run(["git", "tag", name, commit], cwd=root)
    return name
