"""``--abort`` ends with the code that says what is known of the hosts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy import aborting
from handrail.deploy.fleet import Fleet
from handrail.deploy.running import Job
from handrail.deploy.session import HostError
from handrail.errors import HandrailError

pytestmark = pytest.mark.unit

TARGET: Any = SimpleNamespace(environment="test", app="shop", hosts=["a"], connections=4, lease=60.0)


class FakeSession:
    """A host with a prepared release; the operation ``fails`` with an error of a kind."""

    is_open = True
    host = "a"

    def __init__(self, fails: str, kind: str) -> None:
        self.fails, self.kind = fails, kind

    def open(self) -> dict[str, Any]:
        state = {"deploy": "d1", "release": "2-b", "step": "prepared"}
        return {"transaction": state, "current": "1-a", "lock": {"held": False}}

    def call(self, op: str, **_: Any) -> dict[str, Any]:
        if op == self.fails:
            raise HostError("a", self.kind, "the connection was lost: closed")
        return {"serves": "1-a", "ok": True, "why": ""}

    def ping(self) -> None: ...

    def close(self, *, at_once: bool = False) -> None: ...


@pytest.mark.parametrize(
    ("fails", "kind", "exit_code"),
    [("return", "lost", 6), ("lock", "lost", 3), ("lock", "return-failed", 6), ("lock", "locked", 7)],
)
def test_what_stops_an_abort_has_the_exit_code_of_what_is_known(
    monkeypatch: pytest.MonkeyPatch, fails: str, kind: str, exit_code: int
) -> None:
    made: Any = lambda *_: FakeSession(fails, kind)  # noqa: E731
    monkeypatch.setattr(aborting, "Fleet", lambda *_: Fleet(TARGET, Path(), session=made))
    printer: Any = None
    with pytest.raises(HandrailError, match="a: ") as caught:
        aborting.abort(Job(TARGET, Path(), printer, ["a"]))
    assert caught.value.exit_code == exit_code
