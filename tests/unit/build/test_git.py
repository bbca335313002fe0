from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handrail.build.git import EARLIEST, read_git
from handrail.commands import Runner
from handrail.errors import UsageError

pytestmark = pytest.mark.unit


def test_a_clean_checkout_has_commit_branch_and_time(repository: Any) -> None:
    repository.write("a")
    commit = repository.commit()
    facts = read_git(repository.root, Runner(), untracked=True, required=True)
    assert (facts.commit, facts.branch, facts.dirty) == (commit, "main", False)
    assert facts.epoch == int(repository.git("log", "-1", "--format=%ct"))


def test_a_changed_file_makes_it_dirty(repository: Any) -> None:
    repository.write("a")
    repository.commit()
    repository.write("a", "changed")
    assert read_git(repository.root, Runner(), untracked=False, required=True).dirty


@pytest.mark.parametrize("untracked", [True, False])
def test_an_untracked_file_counts_only_where_it_would_be_shipped(repository: Any, untracked: bool) -> None:
    repository.write("a")
    repository.commit()
    repository.write("new.py")
    assert read_git(repository.root, Runner(), untracked=untracked, required=True).dirty is untracked


@pytest.mark.parametrize("folder", ["", "apps/shop/"])
def test_what_handrail_writes_itself_does_not_make_it_dirty(repository: Any, folder: str) -> None:
    repository.write(f"{folder}a")
    repository.commit()
    repository.write(f"{folder}.handrail/x")
    repository.write(f"{folder}dist/x.whl")
    assert not read_git(repository.root / folder, Runner(), untracked=True, required=True).dirty


def test_a_change_in_another_projects_folder_does_not_make_it_dirty(repository: Any) -> None:
    repository.write("apps/shop/a")
    repository.write("apps/other/b")
    repository.commit()
    repository.write("apps/other/b", "changed")
    assert not read_git(repository.root / "apps/shop", Runner(), untracked=True, required=True).dirty


def test_a_detached_head_has_no_branch(repository: Any) -> None:
    repository.write("a")
    commit = repository.commit()
    repository.git("checkout", "-q", "--detach")
    facts = read_git(repository.root, Runner(), untracked=True, required=True)
    assert (facts.commit, facts.branch) == (commit, "")


def test_before_the_first_commit_there_is_none_and_it_is_dirty(repository: Any) -> None:
    repository.write("a")
    facts = read_git(repository.root, Runner(), untracked=True, required=True)
    assert (facts.commit, facts.dirty, facts.epoch) == ("", True, EARLIEST)


def test_without_a_repository_a_tree_is_told_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not in a git repository") as caught:
        read_git(tmp_path, Runner(), untracked=True, required=True)
    assert "git init" in caught.value.next_step


def test_without_a_repository_a_wheel_has_no_commit(tmp_path: Path) -> None:
    facts = read_git(tmp_path, Runner(), untracked=True, required=False)
    assert (facts.commit, facts.dirty) == ("", True)
