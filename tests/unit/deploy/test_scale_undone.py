"""What `inv scale` says of the hosts after one of them could not do it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy import scale
from handrail.deploy.fleet import Fleet
from handrail.deploy.session import HostError
from handrail.errors import DeployReturnedError, NeedsPersonError

pytestmark = pytest.mark.unit

TARGET: Any = SimpleNamespace(
    environment="test", app="shop", hosts=["a", "b"], connections=4, lease=60.0, processes={}, strategy="restart"
)


class FakeSession:
    """A host with four workers; ``b`` refuses another number."""

    is_open = True

    def __init__(self, host: str, kind: str) -> None:
        self.host, self.kind, self.numbers = host, kind, {"web": 4}
        self.facts: dict[str, Any] = {"scale": {"web": 4}}

    def open(self) -> dict[str, Any]:
        return self.facts

    def call(self, op: str, **request: Any) -> dict[str, Any]:
        if op == "lock":
            return {"recovered": "", "left": "", "scale": self.numbers}
        if op == "unlock":
            return {}
        if self.host == "b":
            raise HostError("b", self.kind, "the server is down")
        self.numbers = request["scale"]
        return {"scale": self.numbers, "web": {"how": ""}}

    def revive(self) -> None: ...

    def ping(self) -> None: ...

    def close(self, *, at_once: bool = False) -> None: ...


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("unhealthy", DeployReturnedError, "every host runs what it ran before"),
        ("not-undone", NeedsPersonError, "b: could not"),
    ],
)
def test_a_host_that_did_not_come_back_is_not_said_to_run_what_it_ran_before(
    monkeypatch: pytest.MonkeyPatch, kind: str, error: Any, said: str
) -> None:
    sessions = {host: FakeSession(host, kind) for host in TARGET.hosts}
    made: Any = lambda host, *_: sessions[host]  # noqa: E731
    monkeypatch.setattr(scale, "Fleet", lambda *_: Fleet(TARGET, Path(), session=made))
    monkeypatch.setattr(scale, "service_for", lambda *_: {})
    printer: Any = SimpleNamespace(warn=print)
    with pytest.raises(error, match=said) as caught:
        scale.run_scale(TARGET, Path(), ["web=2"], printer)
    assert sessions["a"].numbers == {"web": 4}, "the other one is brought back either way"
    if kind == "not-undone":
        assert caught.value.host_states == {"a": "runs what it ran before", "b": "unknown"}
        assert "inv scale --env test web=4" in caught.value.next_step
