"""What a power cut must find on the disk, in the order in which it got there."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.agent import activating, files, preparing
from handrail.agent.app import App
from handrail.agent.transaction import Transaction, finish_hold

pytestmark = pytest.mark.unit

SUDO = """\
#!/bin/sh
shift
exec "$@"
"""


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Each name that was put on the disk, a file with what was in it."""
    seen: list[tuple[str, str]] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        path = Path(f"/proc/self/fd/{fd}").readlink()
        seen.append((str(path), path.read_text(errors="replace") if path.is_file() else ""))

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def test_a_file_of_roots_is_on_the_disk_before_it_has_its_name_and_its_name_afterwards(
    synced: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sudo").write_text(SUDO)
    (programs / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    unit = tmp_path / "units" / "shop-web.service"
    files.write_as_root(str(unit), "[Unit]\n", 0o644)

    assert unit.read_text() == "[Unit]\n"
    assert synced == [(f"{unit}.handrail-new", "[Unit]\n"), (str(unit.parent), "")]


def test_the_journals_name_is_on_the_disk_before_anything_is_activated(
    synced: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App(str(tmp_path), "shop")
    app.make_folders()
    Path(app.release("1-a", ".handrail")).mkdir(parents=True)
    journal = Transaction(app)
    journal.begin({"deploy": "d1", "release": "1-a", "step": "prepared"})
    agent: Any = SimpleNamespace(app=app, lock_fd=0)

    def start(*_: object) -> None:
        assert [path for path, _ in synced[-2:]] == [app.tx, app.folder]
        assert '"step": "activating"' in synced[-3][1]

    monkeypatch.setattr(activating.guardian, "start", start)
    activating.arm(agent, journal, None, 30, "activating")


def test_a_held_release_is_held_on_the_disk_before_its_decision_goes(
    synced: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App(str(tmp_path), "shop")
    app.make_folders()
    journal = Transaction(app)
    journal.begin({"deploy": "d1", "release": "1-a", "step": "activated", "held": {"who": "somebody"}})
    journal.decide("hold")
    forget = journal.forget

    def after_sync(*names: str) -> None:
        assert '"step": "held"' in synced[-3][1]
        assert synced[-2][0] == app.tx
        forget(*names)

    monkeypatch.setattr(journal, "forget", after_sync)
    finish_hold(app, journal)
    assert journal.decision() == ""


@pytest.mark.parametrize("roots", [False, True])
@pytest.mark.parametrize("is_flushed", [True, False])
def test_what_was_made_of_objects_is_made_again_where_a_power_cut_came_before_it_was_flushed(
    is_flushed: bool, roots: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if roots:

        def refuse(path: str) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", path)

        monkeypatch.setattr(preparing, "remove_tree", refuse)
    app = App(str(tmp_path), "shop")
    app.make_folders()
    members = []
    for kind, path, content in (("file", "bin/go", b"#!/bin/sh\n"), ("wheel", "wheels/x.whl", b"PK")):
        digest = hashlib.sha256(content).hexdigest()
        Path(app.object_path(digest)).parent.mkdir()
        Path(app.object_path(digest)).write_bytes(content)
        members.append({"kind": kind, "path": path, "sha256": digest, "mode": 0o755})
    agent: Any = SimpleNamespace(app=app, manifest={"members": members, "python": "3.11"})
    monkeypatch.setattr(preparing, "find_uv", lambda _: "uv")
    monkeypatch.setattr(preparing, "find_pythons", lambda: {"3.11": "python"})
    monkeypatch.setattr(preparing, "command", lambda *_: None)
    request: Any = {"shared": [], "env": "", "variables": {}, "irreversible": [], "launchers": {}}

    def fill(release: str, boot: str) -> None:
        monkeypatch.setattr(preparing, "boot_id", lambda: boot)
        preparing.fill(agent, app.release(release), request, preparing.place_shared)

    fill("1-a", "one")
    executable, wheel = (Path(app.object_path(member["sha256"])) for member in members)
    executable = executable.with_name(f"{executable.name}.x")
    wheel = Path(app.store, "wheels", wheel.name, "x.whl")
    cache = Path(app.store, "uv-cache")
    cache.mkdir()
    if is_flushed:
        preparing.flush(app)
    else:
        executable.unlink()
        executable.touch()
        wheel.unlink()
        wheel.touch()
        # A release that is there already, and is deployed again after the power cut.
        monkeypatch.setattr(preparing, "boot_id", lambda: "two")
        preparing.flush(app)
    fill("2-b", "two")
    assert Path(app.release("2-b", "bin", "go")).read_bytes() == b"#!/bin/sh\n"
    assert wheel.read_bytes() == b"PK"
    assert cache.exists() == is_flushed
