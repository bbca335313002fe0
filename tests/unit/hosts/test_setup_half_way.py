"""A set-up that stopped on one host: its exit code says whether anything was changed on any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from host_facts import KEY, bare, ready

from handrail.config.target import Target
from handrail.deploy.session import HostError
from handrail.errors import DeployFailedError, LockedError
from handrail.hosts import setup
from handrail.hosts.session import SetupSession
from handrail.hosts.want import Want
from handrail.testing import RecordingPrinter

pytestmark = pytest.mark.unit

HOSTS = ["deploy@web1", "deploy@web2"]


def set_up(monkeypatch: pytest.MonkeyPatch, target: Target, root: Path, locked: list[str]) -> None:
    class Session(SetupSession):
        """A bare host that is ready after its steps were done; apt may be at work there."""

        is_done = False

        def open(self) -> dict[str, Any]:
            return {}

        def call(self, op: str, *, on_event: Any = None, **request: Any) -> dict[str, Any]:
            if op == "look":
                want = Want(self.host, self.login, self.user, self._target, [KEY])
                return (ready if self.is_done else bare)(want)
            if self.host in locked:
                raise HostError(self.host, "locked", "another set-up runs")
            for step in request["steps"]:
                on_event({"step": step["name"], "state": "done", "seconds": 0.1})
            self.is_done = True
            return {"failed": {}}

    monkeypatch.setattr(setup, "SetupSession", Session)
    setup.set_up(target, root, HOSTS, RecordingPrinter(), keys=[KEY])


@pytest.mark.parametrize("locked", HOSTS)
def test_a_host_that_was_not_touched_does_not_speak_for_one_that_was(
    monkeypatch: pytest.MonkeyPatch, target: Callable[..., Target], tmp_path: Path, locked: str
) -> None:
    with pytest.raises(DeployFailedError, match=f"{locked}: another set-up runs") as caught:
        set_up(monkeypatch, target(), tmp_path, [locked])
    (other,) = {*HOSTS} - {locked}
    assert caught.value.host_states[other] == "done"
    assert "wait for it" in caught.value.next_step


def test_where_no_host_was_touched_nothing_was_changed(
    monkeypatch: pytest.MonkeyPatch, target: Callable[..., Target], tmp_path: Path
) -> None:
    with pytest.raises(LockedError):
        set_up(monkeypatch, target(), tmp_path, HOSTS)
