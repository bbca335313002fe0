from __future__ import annotations

import hashlib
import os
import time
from typing import Any

import pytest

from handrail.build.bundle import Member
from handrail.build.tree import list_tree
from handrail.commands import Runner
from handrail.errors import ConfigError, UsageError

pytestmark = pytest.mark.unit


def paths(repository: Any, **kw: Any) -> list[str]:
    return [member.path for member in list_tree(repository.root, Runner(), **kw)]


def only_member(repository: Any) -> Member:
    (member,) = list_tree(repository.root, Runner())
    return member


def test_a_tree_holds_tracked_files_only(repository: Any) -> None:
    repository.write("a.py")
    repository.commit()
    repository.write("untracked.py")
    assert paths(repository) == ["a.py"]


def test_a_file_travels_with_the_content_of_the_working_tree(repository: Any) -> None:
    repository.write("a.py", "old")
    repository.commit()
    repository.write("a.py", "newer")
    member = only_member(repository)
    assert member.size == 5
    assert member.source is not None
    assert member.source.read_text() == "newer"
    assert member.sha256 == hashlib.sha256(b"newer").hexdigest()


def test_a_tracked_but_deleted_file_is_left_out(repository: Any) -> None:
    repository.write("a.py")
    repository.write("b.py")
    repository.commit()
    (repository.root / "a.py").unlink()
    assert paths(repository) == ["b.py"]


def test_a_file_whose_folder_became_a_link_counts_as_deleted(repository: Any) -> None:
    repository.write("real/a.py")
    repository.write("folder/a.py")
    repository.commit()
    (repository.root / "folder" / "a.py").unlink()
    (repository.root / "folder").rmdir()
    repository.link("folder", "real")
    assert paths(repository) == ["real/a.py"]


def test_a_file_that_became_a_folder_counts_as_deleted(repository: Any) -> None:
    repository.write("thing")
    repository.commit()
    (repository.root / "thing").unlink()
    repository.write("thing/new")
    assert paths(repository) == []


def test_the_executable_bit_is_kept(repository: Any) -> None:
    repository.write("manage.py", mode=0o755)
    repository.write("plain.py", mode=0o664)
    repository.commit()
    assert {m.path: m.mode for m in list_tree(repository.root, Runner())} == {"manage.py": 0o755, "plain.py": 0o644}


def test_the_executable_bit_is_gits_where_the_file_system_knows_none(repository: Any) -> None:
    repository.write("manage.py", mode=0o755)
    repository.commit()
    repository.git("config", "core.fileMode", "false")
    (repository.root / "manage.py").chmod(0o644)
    assert only_member(repository).mode == 0o755


def test_a_link_inside_the_tree_is_kept_as_it_is(repository: Any) -> None:
    repository.write("a.py")
    repository.link("sub/b.py", ".././a.py")
    repository.commit()
    link = next(m for m in list_tree(repository.root, Runner()) if m.kind == "link")
    assert (link.path, link.target, link.sha256, link.size) == ("sub/b.py", ".././a.py", "", 0)


@pytest.mark.security
@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "sub/../../outside"])
def test_a_link_that_leaves_the_tree_is_refused_by_name(repository: Any, target: str) -> None:
    repository.link("bad", target)
    repository.commit()
    with pytest.raises(ConfigError, match=r"^bad is a link to .*, outside the tree"):
        paths(repository)


@pytest.mark.security
def test_a_link_that_leaves_the_tree_through_another_link_is_refused(repository: Any) -> None:
    repository.link("a/b/top", "../..")
    repository.link("bad", "a/b/top/../secret")
    repository.commit()
    with pytest.raises(ConfigError, match="bad is a link"):
        paths(repository)


def test_an_excluded_link_may_point_anywhere(repository: Any) -> None:
    repository.write("a.py")
    repository.link("bad", "/etc/passwd")
    repository.commit()
    assert paths(repository, exclude=["bad"]) == ["a.py"]


@pytest.mark.parametrize(
    ("globs", "left"),
    [
        (["docs/"], ["a.md", "src/x.py", "src/y.md"]),
        (["*.md"], ["docs/d.txt", "src/x.py"]),
        (["/*.md"], ["docs/d.txt", "docs/e.md", "src/x.py", "src/y.md"]),
        (["src/*.md"], ["a.md", "docs/d.txt", "docs/e.md", "src/x.py"]),
        (["**/*.md", "!a.md"], ["a.md", "docs/d.txt", "src/x.py"]),
        (["nothing-like-it"], ["a.md", "docs/d.txt", "docs/e.md", "src/x.py", "src/y.md"]),
    ],
)
@pytest.mark.parametrize("folder", ["", "apps/[site]/"])
def test_exclude_globs_mean_what_they_mean_in_gitignore(
    repository: Any, folder: str, globs: list[str], left: list[str]
) -> None:
    for path in ("a.md", "docs/d.txt", "docs/e.md", "src/x.py", "src/y.md"):
        repository.write(folder + path)
    repository.commit()
    members = list_tree(repository.root / folder, Runner(), exclude=globs)
    assert [member.path for member in members] == left


def test_include_takes_files_and_folders(repository: Any) -> None:
    for path in ("manage.py", "templates/a.html", "templates2/b.html", "src/x.py"):
        repository.write(path)
    repository.commit()
    assert paths(repository, include=["manage.py", "templates/"]) == ["manage.py", "templates/a.html"]


def test_include_of_something_untracked_names_the_nearest(repository: Any) -> None:
    repository.write("templates/a.html")
    repository.commit()
    with pytest.raises(ConfigError, match=r"'template'.*did you mean 'templates'"):
        paths(repository, include=["template"])


def test_only_the_projects_folder_of_a_repository_is_listed(repository: Any) -> None:
    repository.write("apps/shop/a.py")
    repository.write("apps/other/b.py")
    repository.commit()
    assert [m.path for m in list_tree(repository.root / "apps" / "shop", Runner())] == ["a.py"]


def test_a_submodule_is_refused_by_name(repository: Any, tmp_path: Any) -> None:
    other = type(repository)(tmp_path / "other")
    other.write("x")
    other.commit()
    repository.git("submodule", "--quiet", "add", str(other.root), "vendor/other")
    with pytest.raises(ConfigError, match="vendor/other is a git submodule"):
        paths(repository)
    assert paths(repository, exclude=["vendor/"]) == [".gitmodules"]


def test_an_unresolved_merge_is_refused(repository: Any) -> None:
    repository.write("a", "1")
    repository.commit()
    repository.git("checkout", "-q", "-b", "other")
    repository.write("a", "2")
    repository.commit()
    repository.git("checkout", "-q", "main")
    repository.write("a", "3")
    repository.commit()
    with pytest.raises(Exception, match="returned non-zero"):
        repository.git("merge", "other")
    with pytest.raises(UsageError, match="a has an unresolved merge conflict"):
        paths(repository)


def test_a_sparse_checkout_is_refused_instead_of_shipping_half_a_tree(repository: Any) -> None:
    repository.write("a/x")
    repository.write("b/y")
    repository.commit()
    repository.git("sparse-checkout", "set", "a")
    with pytest.raises(UsageError, match="b/y is missing: this is a sparse checkout"):
        paths(repository)


def test_a_git_lfs_pointer_is_refused(repository: Any) -> None:
    repository.write("logo.png", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    repository.commit()
    with pytest.raises(UsageError, match=r"logo.png is a Git LFS pointer") as caught:
        paths(repository)
    assert caught.value.next_step == "git lfs pull"


@pytest.mark.security
def test_a_tracked_secrets_file_is_left_out_with_a_warning(repository: Any) -> None:
    repository.write("env/staging.secrets.env", "TOKEN=x")
    repository.write("env/staging.env", "A=1")
    repository.commit()
    warnings: list[str] = []
    assert paths(repository, warn=warnings.append) == ["env/staging.env"]
    assert "env/staging.secrets.env" in warnings[0]


@pytest.mark.parametrize("name", ["with space.txt", 'quo"te.txt', "ümlaut.txt", "tab\t.txt"])
def test_odd_file_names_arrive_as_they_are(repository: Any, name: str) -> None:
    repository.write(name)
    repository.commit()
    assert paths(repository) == [name]


def test_a_file_name_that_is_not_utf8_arrives_as_it_is(repository: Any) -> None:
    name = os.fsdecode(b"latin-\xe9.txt")
    try:
        repository.write(name, "x")
    except OSError:
        pytest.skip("this file system holds UTF-8 names only")
    repository.commit()
    member = only_member(repository)
    assert member.path == name
    assert member.source is not None
    assert member.source.read_text() == "x"


def test_an_unreadable_file_is_one_line(repository: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.write("a.py")
    repository.commit()
    real = os.open

    def refuse(path: Any, *rest: Any, **kw: Any) -> int:
        if str(path).endswith("a.py"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, **kw)

    monkeypatch.setattr(os, "open", refuse)  # modes would not stop root
    with pytest.raises(UsageError, match=r"a.py cannot be read: permission denied"):
        paths(repository)


def test_members_come_in_one_order_whatever_the_locale(repository: Any) -> None:
    for path in ("b", "B", "a/z", "a-b", "ä"):
        repository.write(path)
    repository.commit()
    assert paths(repository) == ["B", "a-b", "a/z", "b", "ä"]


def test_a_git_environment_of_another_repository_is_ignored(
    repository: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = type(repository)(tmp_path / "other")
    other.write("x")
    other.commit()
    repository.write("mine")
    repository.commit()
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    assert paths(repository) == ["mine"]


def test_thousands_of_files_are_listed_in_well_under_a_second(repository: Any) -> None:
    for number in range(6800):
        folder = repository.root / f"p{number % 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{number}.py").write_bytes(b"x" * number)
    repository.git("add", "-A")
    started = time.process_time()
    assert len(list_tree(repository.root, Runner())) == 6800
    assert time.process_time() - started < 1.0
