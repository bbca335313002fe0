"""An upload whose connection is cut: the host is locked again, in the name of the run that it belongs to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy.fleet import Fleet
from handrail.deploy.preparing import upload
from handrail.deploy.running import Job, Run
from handrail.deploy.session import HostError

pytestmark = pytest.mark.unit

TARGET: Any = SimpleNamespace(
    environment="live", app="shop", hosts=["h"], connections=4, lease=60.0, keep=3, strategy="restart"
)
BUNDLE: Any = SimpleNamespace(objects=list, manifest=dict, commit="", version="", digest="")


class FakeSession:
    """A host that is lost with the first request and lacks nothing when it is back."""

    def __init__(self) -> None:
        self.host, self.is_open = "h", True
        self.was_lost = False
        self.locked_for: list[str] = []

    def post(self, _op: str, **_: Any) -> int:
        return 1

    def wait(self, _number: int) -> dict[str, Any]:
        if not self.was_lost:
            self.was_lost = True
            raise HostError("h", "lost", "the connection was lost: the agent ended")
        return {"state": {"from": "1-a"}, "missing": [], "left": ["0-z cannot be deleted"]}

    def call(self, op: str, *, holder: dict[str, Any], **_: Any) -> None:
        assert op == "lock"
        self.locked_for.append(holder["what"])

    def reopen(self) -> None:
        self.is_open = True

    def close(self, *, at_once: bool = False) -> None:
        self.is_open = False

    def ping(self) -> None: ...


@pytest.mark.parametrize(
    ("kind", "said"), [("deploy", "deploy to live"), ("catch-up", "catch-up on live")], ids=["deploy", "catch-up"]
)
def test_a_host_that_is_locked_again_says_what_for(kind: str, said: str) -> None:
    session: Any = FakeSession()
    warned: list[str] = []
    printer: Any = SimpleNamespace(warn=warned.append)
    with Fleet(TARGET, Path(), ["h"], lambda *_: session) as fleet:
        upload(Run(Job(TARGET, Path(), printer, ["h"]), fleet, kind, release="2-b"), BUNDLE)

    assert session.locked_for == [said]
    assert warned == ["h: 0-z cannot be deleted"]
