"""Up, down and status where nothing runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from handrail.config.schema import Environment, Project, Service
from handrail.errors import UsageError
from handrail.sandbox import lifecycle
from handrail.sandbox.places import Places
from handrail.tasks.base import TaskContext
from handrail.tasks.sandbox import down as stop
from handrail.testing import RecordingPrinter

pytestmark = pytest.mark.unit


def test_the_proxy_forwards_to_the_environments_port_before_the_services() -> None:
    service = Service(command="serve", port=18080)
    own = {"sandbox": Environment(hosts=["sandbox"], port=19000)}
    plain = {"sandbox": Environment(hosts=["sandbox"])}

    assert lifecycle.upstream_port(Project(app="a", service=service, environments=own)) == 19000
    assert lifecycle.upstream_port(Project(app="a", service=service, environments=plain)) == 18080
    assert lifecycle.upstream_port(Project(app="a", service=service)) == 18080
    assert lifecycle.upstream_port(Project(app="a")) == 0


def test_a_missing_extra_is_one_line_with_the_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(UsageError, match="the sandbox needs asyncssh and supervisor") as caught:
        lifecycle.up(tmp_path, 0)

    assert caught.value.next_step.startswith("uv add --dev 'handrail[sandbox]'")
    assert not (tmp_path / ".handrail").exists()


def test_the_status_of_nothing_is_not_running_and_changes_nothing(tmp_path: Path) -> None:
    document = lifecycle.status(tmp_path)

    assert document["running"] is False
    assert document["problems"] == []
    assert list(tmp_path.iterdir()) == []


def test_a_state_whose_process_id_belongs_to_somebody_else_by_now_is_not_running(tmp_path: Path) -> None:
    places = Places.of(tmp_path)
    places.folder.mkdir(parents=True)
    places.lock.write_text(f"{os.getpid()}\n")
    places.write_state({"pid": os.getpid(), "ssh_port": 1, "http_port": 1})

    assert lifecycle.status(tmp_path)["running"] is False
    assert lifecycle.down(tmp_path)["was_running"] is False


def test_the_status_names_apps_their_release_and_folder_also_when_it_is_down(tmp_path: Path) -> None:
    app = Places.of(tmp_path).home / "apps" / "shop"
    (app / "releases" / "3-abc1234").mkdir(parents=True)
    (app / "current").symlink_to("releases/3-abc1234")

    assert lifecycle.status(tmp_path)["apps"] == [
        {"app": "shop", "release": "3-abc1234", "releases": ".handrail/sandbox/home/apps/shop/releases"}
    ]


def test_stopping_nothing_keeps_the_folder_unless_it_is_purged(tmp_path: Path) -> None:
    folder = Places.of(tmp_path).folder
    folder.mkdir(parents=True)

    assert lifecycle.down(tmp_path) == {"was_running": False, "ended": [], "purged": False}
    assert folder.exists()
    assert lifecycle.down(tmp_path, purge=True)["purged"] is True
    assert not folder.exists()


@pytest.mark.parametrize("purge", [True, False])
def test_only_what_is_there_is_said_to_be_kept_or_deleted(tmp_path: Path, purge: bool) -> None:
    printer = RecordingPrinter()
    stop(TaskContext(printer, tmp_path), purge=purge)
    assert "kept" not in printer.text
    assert "deleted" not in printer.text
    Places.of(tmp_path).folder.mkdir(parents=True)
    stop(TaskContext(printer, tmp_path), purge=purge)
    assert ("its folder was deleted" in printer.text, "data are kept" in printer.text) == (purge, not purge)


def test_purging_deletes_also_what_is_read_only(tmp_path: Path) -> None:
    folder = Places.of(tmp_path).home / "apps" / "shop" / "releases"
    folder.mkdir(parents=True)
    (folder / "file").touch()
    folder.chmod(0o500)

    lifecycle.down(tmp_path, purge=True)

    assert not Places.of(tmp_path).folder.exists()
