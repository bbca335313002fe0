"""Releases that go: what may not be deleted keeps nobody from anything, and what is half deleted is good no longer."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.agent import app as agent_app
from handrail.agent.app import App
from handrail.agent.deciding import return_
from handrail.agent.files import remove_tree
from handrail.agent.uploading import begin

pytestmark = pytest.mark.unit

RELEASES = ["1-abc", "2-def", "3-fed", "4-cba"]


@pytest.fixture
def app(tmp_path: Path) -> App:
    made = App(str(tmp_path), "shop")
    made.make_folders()
    for release in RELEASES:
        meta = Path(made.release(release), ".handrail")
        meta.mkdir(parents=True)
        (meta / "state").write_text("complete\n")
        (meta.parent / "code.txt").write_text(release)
        made.record({"release": release, "result": "good", "deploy": f"d{release}"})
    made.switch(RELEASES[-1])
    return made


@pytest.fixture
def agent(app: App) -> Any:
    return SimpleNamespace(app=app, lock_fd=0, guardian=None)


def begun(agent: Any, release: str, **state: Any) -> dict[str, Any]:
    wanted = {"deploy": f"d-{release}", "release": release, "since": 1.0, **state}
    answer: dict[str, Any] = begin(agent, {"state": wanted, "keep": 2}, b"")
    return answer


def forbid(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """Have somebody else own a folder in an old release, as root owns what a command with sudo has written."""

    def remove(path: str) -> None:
        if path.endswith(folder):
            raise PermissionError(errno.EACCES, "Permission denied", f"{path}/__pycache__")
        remove_tree(path)

    monkeypatch.setattr(agent_app, "remove_tree", remove)


def test_a_release_that_may_not_be_deleted_is_named_and_keeps_no_deploy_return_or_rollback_from_going_on(
    app: App, agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, "1-abc")
    old = app.release("1-abc")
    sentence = f"{old} cannot be deleted (Permission denied: {old}/__pycache__); delete it there as root"

    answer = begun(agent, "5-new")
    assert (answer["left"], answer["pruned"]) == ([sentence], [])
    assert return_(agent, {"deploy": "d-5-new"}, b"")["ok"]
    assert begun(agent, "3-fed", kind="rollback")["left"] == [sentence]
    assert return_(agent, {"deploy": "d-3-fed"}, b"")["ok"]

    monkeypatch.setattr(agent_app, "remove_tree", remove_tree)
    answer = begun(agent, "6-new")
    assert (answer["left"], answer["swept"]) == ([], ["1-abc"])
    assert sorted(path.name for path in Path(app.releases).iterdir()) == ["2-def", "3-fed", "4-cba"]


def test_a_release_whose_deletion_was_cut_off_is_good_no_longer(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def die_half_way(folder: str) -> None:
        # In which order a folder's files are deleted is nobody's promise.
        Path(folder, "code.txt").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(agent_app, "remove_tree", die_half_way)
    with pytest.raises(KeyboardInterrupt):
        app.prune(2)
    assert app.good_releases() == ["2-def", "3-fed", "4-cba"]


def test_a_link_among_the_releases_goes_and_leaves_what_it_names(app: App) -> None:
    Path(app.releases, "newest").symlink_to("4-cba")
    assert app.sweep() == (["newest"], [])
    assert app.is_complete("4-cba")


def test_a_disk_that_is_full_has_the_record_where_a_part_of_the_failed_release_could_be_deleted(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, "4-cba")

    def record() -> None:
        if app.is_complete("4-cba"):
            raise OSError(errno.ENOSPC, "No space left on device")

    app.make_room("4-cba", record)


def test_leftovers_go_whatever_characters_the_folders_have(tmp_path: Path) -> None:
    app = App(str(tmp_path / "apps [one]"), "shop")
    app.make_folders()
    left = [app.path("current.1.tmp"), app.path("slots", "blue.1.tmp"), app.path("store", "objects", "ab", "abc.tmp")]
    for path in map(Path, left):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    Path(app.path("tx.1.2.done")).mkdir()
    app.sweep()
    assert [path for path in Path(app.folder).rglob("*") if path.suffix in (".tmp", ".done")] == []
