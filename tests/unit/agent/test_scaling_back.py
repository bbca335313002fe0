"""What a host runs after `inv scale` has failed or ended on it: what it ran before, or it says that it does not."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.agent import settling
from handrail.agent.app import App
from handrail.agent.refusal import Refused
from handrail.agent.transaction import WEB_MARK, Transaction, commit_history
from handrail.agent.workers import read_scale, write_scale

pytestmark = pytest.mark.unit

REQUEST: Any = {"scale": {"worker": 3}, "service": {"processes": {}}, "by": {}}


@pytest.fixture
def agent(tmp_path: Path) -> Any:
    app = App(str(tmp_path), "shop")
    Path(app.release("1-a", ".handrail")).mkdir(parents=True)
    app.switch("1-a")
    write_scale(app, {"worker": 1})
    return SimpleNamespace(app=app, lock_fd=0)


def failing(monkeypatch: pytest.MonkeyPatch, *errors: Exception | None) -> None:
    """Have the host's processes fail to follow, one error a call."""
    left = list(errors)

    def bring(*_: Any, **__: Any) -> None:
        error = left.pop(0)
        if error:
            raise error

    monkeypatch.setattr(settling, "bring", bring)


@pytest.mark.parametrize("error", [Refused("unhealthy", "worker is down"), OSError("no room"), ValueError("odd")])
def test_the_numbers_come_back_whatever_went_wrong(
    agent: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    failing(monkeypatch, error, None)
    with pytest.raises(type(error)):
        settling.scale(agent, REQUEST, b"")
    assert read_scale(agent.app) == {"worker": 1}


def test_a_host_that_does_not_come_back_says_so_and_why(agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(
        monkeypatch, Refused("unhealthy", "the third is down"), Refused("unhealthy", "the first is down", lines=["x"])
    )
    with pytest.raises(Refused, match="the first is down, after: the third is down") as refused:
        settling.scale(agent, REQUEST, b"")
    assert refused.value.kind == "not-undone"
    assert refused.value.facts == {"lines": ["x"]}


def test_the_number_of_the_servers_workers_is_brought_about_by_the_next_one_where_the_agent_was_killed(
    agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, *[None] * 3)
    seen = []

    def change_web(_app: App, _spec: Any, _release: str, before: int | None, wanted: int | None) -> dict[str, str]:
        seen.append((before, wanted))
        if len(seen) == 1:
            raise KeyboardInterrupt
        return {"how": "restarted", "why": "it had another number"}

    monkeypatch.setattr(settling, "change_web", change_web)
    request = {**REQUEST, "scale": {"worker": 1, "web": 4}}
    with pytest.raises(KeyboardInterrupt):
        settling.scale(agent, request, b"")
    assert settling.scale(agent, request, b"")["web"]["how"] == "restarted"
    assert settling.scale(agent, request, b"")["web"]["how"] == ""
    assert seen == [(None, 4), (4, 4)]


def test_numbers_that_found_no_room_leave_everything_as_it_was(agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(settling, "write_scale", full)
    with pytest.raises(OSError, match="No space left"):
        settling.scale(agent, {**REQUEST, "scale": {"worker": 1, "web": 4}}, b"")
    assert not Path(agent.app.path(WEB_MARK)).exists()


def test_a_commit_of_what_was_started_before_the_numbers_came_leaves_the_server_to_the_next_scale(agent: Any) -> None:
    journal = Transaction(agent.app)
    for restarted in (False, True):
        Path(agent.app.path(WEB_MARK)).touch()
        journal.begin({"deploy": f"d{restarted}", "release": "1-a", "step": "switched", "restarted": restarted})
        commit_history(agent.app, journal)
        assert Path(agent.app.path(WEB_MARK)).exists() == (not restarted)
