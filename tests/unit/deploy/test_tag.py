from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from handrail.commands import Runner
from handrail.deploy.tag import tag_release
from handrail.errors import TaskFailedError, UsageError

pytestmark = pytest.mark.unit


def git(root: Path, *words: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "one")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "two")
    return tmp_path


def test_the_deployed_commit_is_tagged_also_when_it_is_not_the_newest(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD~1")

    name = tag_release(repository, "staging", "12-abc", commit, Runner())

    assert name == "deploy/staging/12-abc"
    assert git(repository, "rev-parse", f"refs/tags/{name}") == commit


def test_tagging_again_changes_nothing(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")

    names = {tag_release(repository, "staging", "12-abc", commit, Runner()) for _ in range(2)}

    assert names == {"deploy/staging/12-abc"}
    assert git(repository, "tag", "--list") == "deploy/staging/12-abc"


def test_a_tag_on_another_commit_is_left_alone_and_reported(repository: Path) -> None:
    old, new = git(repository, "rev-parse", "HEAD~1"), git(repository, "rev-parse", "HEAD")
    name = tag_release(repository, "staging", "12-abc", old, Runner())

    with pytest.raises(TaskFailedError, match=name) as caught:
        tag_release(repository, "staging", "12-abc", new, Runner())

    assert new[:12] in caught.value.next_step
    assert git(repository, "rev-parse", f"refs/tags/{name}") == old


def test_a_release_without_a_commit_cannot_be_tagged(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="12-abc"):
        tag_release(tmp_path, "staging", "12-abc", "", Runner())
