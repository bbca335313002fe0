"""The journal's promises at moments that no kill from outside can hit for certain."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.agent import ballast, compiled, guardian, transaction, uploading, workers
from handrail.agent.app import App
from handrail.agent.files import remove_tree
from handrail.agent.transaction import Transaction

pytestmark = pytest.mark.unit

NEW_WORKER = {"name": "shop-worker", "files": [], "retire": [], "forget": [], "pid": ["true"], "stop_timeout": 0}
"""A background process that only the release has which is given up."""


@pytest.fixture
def app(tmp_path: Path) -> App:
    made = App(str(tmp_path), "shop")
    made.make_folders()
    for release in ("1-abc", "2-def"):
        meta = Path(made.release(release), ".handrail")
        meta.mkdir(parents=True)
        (meta / "state").write_text("complete\n")
    made.switch("2-def")
    return made


@pytest.fixture
def activated(app: App) -> Transaction:
    journal = Transaction(app)
    journal.begin({"deploy": "d2", "release": "2-def", "from": "1-abc", "step": "activated"})
    ballast.load(journal.path("ballast"))
    return journal


def test_a_committed_release_stays_when_its_journal_was_being_deleted_at_the_death(
    app: App, activated: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die_half_way(folder: str) -> None:
        # In which order a folder's files are deleted is nobody's promise.
        Path(folder, "decision").unlink()
        raise KeyboardInterrupt

    activated.decide("commit")
    monkeypatch.setattr(transaction, "remove_tree", die_half_way)
    with pytest.raises(KeyboardInterrupt):
        transaction.commit_history(app, activated)
    monkeypatch.setattr(transaction, "remove_tree", remove_tree)

    assert Transaction(app).recover() == ""
    assert app.current_release() == "2-def"
    app.sweep()
    assert [path.name for path in Path(app.folder).glob("tx*")] == []


def test_a_compiled_agent_that_finds_no_room_leaves_nothing_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent-1"
    modules = SimpleNamespace(is_kept=False, path=str(path), texts=["a"], code=lambda _name: b"x")
    monkeypatch.setattr(compiled, "__spec__", SimpleNamespace(loader=modules))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", full)
        compiled.keep()
    assert list(tmp_path.iterdir()) == []
    assert not modules.is_kept
    compiled.keep()
    assert list(tmp_path.iterdir()) == [path]


def full_until(folder: str, pieces: int) -> None:
    """Stand for a system call on a disk that is full until so many pieces of the ballast are gone."""
    if len(list(Path(folder).iterdir())) > ballast.PIECES - pieces:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_gives_up_its_ballast_piece_by_piece(activated: Transaction) -> None:
    folder = activated.path("ballast")
    activated.spare(lambda: full_until(folder, 3))
    assert len(list(Path(folder).iterdir())) == ballast.PIECES - 3
    with pytest.raises(OSError, match="No space left"):
        activated.spare(lambda: full_until(folder, ballast.PIECES + 1))


@pytest.mark.parametrize("refusal", [errno.EOPNOTSUPP, None])
def test_a_ballast_is_taken_where_the_file_system_cannot_set_room_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int | None
) -> None:
    synced: list[int] = []

    def refuse(*_: int) -> None:
        raise OSError(refusal, "Operation not supported")

    if refusal:
        monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    else:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr(os, "fsync", synced.append)
    ballast.load(str(tmp_path))
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [ballast.SIZE] * ballast.PIECES
    assert len(synced) == ballast.PIECES, "only what is on the disk is sure"


def test_there_is_no_ballast_where_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    with pytest.raises(OSError, match="No space left"):
        ballast.load(str(tmp_path))


def test_a_host_with_a_full_disk_decides_and_returns(
    app: App, activated: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide, switch, record = activated.try_to_decide, app.switch, app.record
    write = workers.write_workers
    folder = activated.path("ballast")

    def on_full_disk(work, pieces):  # type: ignore[no-untyped-def]
        return lambda *words: (full_until(folder, pieces), work(*words))

    monkeypatch.setattr(activated, "try_to_decide", on_full_disk(decide, 1))
    monkeypatch.setattr(app, "switch", on_full_disk(switch, 2))
    monkeypatch.setattr(workers, "write_workers", on_full_disk(write, 3))
    monkeypatch.setattr(app, "record", on_full_disk(record, 4))
    activated.update(workers={})
    write(app, {"shop-worker": NEW_WORKER})
    assert activated.decide("return") == "return"
    assert activated.perform_return("the lease ran out")["ok"]
    assert app.current_release() == "1-abc"
    assert app.history()[-1]["result"] == "returned"
    assert app.is_complete("2-def"), "the ballast was enough"
    assert workers.installed_workers(app) == {}
    assert json.loads(Path(activated.path("state.json")).read_text())["step"] == "returned"


def guard_where_no_thread_starts(activated: Transaction, monkeypatch: pytest.MonkeyPatch, times: int) -> dict[str, Any]:
    """Let the lease run out where a limit of processes lets no thread start so many times; return the outcome."""
    left = [RuntimeError("can't start new thread")] * times

    def bring(*_: object) -> None:
        if left:
            raise left.pop()

    monkeypatch.setattr(transaction, "bring", bring)
    monkeypatch.setattr(guardian, "PAUSES", (0.0, 0.0))
    activated.update(workers={}, lease=0)
    guardian.guard(activated.app.folder)
    outcome: dict[str, Any] = activated.state()["outcome"]
    return outcome


def test_a_guardian_tries_again_what_may_pass(
    app: App, activated: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert guard_where_no_thread_starts(activated, monkeypatch, 2)["ok"]
    assert [entry["result"] for entry in app.history()] == ["returned"]


def test_a_guardian_that_cannot_return_says_so_whatever_the_error(
    app: App, activated: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = guard_where_no_thread_starts(activated, monkeypatch, 3)
    assert (outcome["ok"], outcome["why"]) == (False, "can't start new thread")
    assert [entry["result"] for entry in app.history()] == ["return-failed"]


def test_a_guardian_tries_no_return_that_somebody_else_has_decided_against(app: App, activated: Transaction) -> None:
    activated.update(lease=0)
    activated.decide("commit")
    guardian.go_back(activated, "the lease ran out")
    assert app.current_release() == "2-def"


def test_a_resumed_deploy_forgets_the_background_processes_of_its_first_try(app: App, activated: Transaction) -> None:
    activated.update(step="returned", outcome={"ok": True}, workers={"shop-worker": NEW_WORKER})
    agent = SimpleNamespace(app=app, lock_fd=0)
    uploading.begin(agent, {"state": {"deploy": "d2"}}, b"")
    state = activated.state()
    assert (state["step"], state["workers"]) == ("prepared", None)
