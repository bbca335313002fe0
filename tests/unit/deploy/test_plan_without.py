"""A plan goes on without the hosts that are away where the deploy would."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy import plan
from handrail.deploy.fleet import Fleet
from handrail.errors import PreflightError, UnreachableError

pytestmark = pytest.mark.unit

TARGET: Any = SimpleNamespace(
    environment="test", app="shop", hosts=["a", "b"], connections=4, lease=60.0, service=None, strategy="restart"
)
BUNDLE: Any = SimpleNamespace(digest="d" * 64, commit="", dirty=False)
ROW = {"running": "1-a", "running_commit": "", "old_variables": {}, "old_irreversible": [], "page": False}


class FakeSession:
    """A host that serves release 1-a; ``b`` is away."""

    is_open = False

    def __init__(self, host: str, *_: Any) -> None:
        self.host = host

    def open(self) -> dict[str, Any]:
        if self.host == "b":
            raise UnreachableError("b: no answer within 10 s", host="b")
        return {"current": "1-a", "good": ["1-a"], "history": []}

    def close(self, *, at_once: bool = False) -> None: ...


@pytest.fixture(autouse=True)
def _hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Any = FakeSession
    monkeypatch.setattr(plan, "Fleet", lambda target, root, hosts: Fleet(target, root, hosts, made))
    monkeypatch.setattr(plan, "_plan_host", lambda session, *_: {"host": session.host, **ROW})


def test_a_host_that_is_away_is_named_in_the_plan_that_may_skip_it() -> None:
    document = plan.make_plan(TARGET, Path(), ["a", "b"], BUNDLE, {}, skip_unreachable=True)
    assert [row["host"] for row in document["hosts"]] == ["a"]
    assert document["left_out"] == {"b": "no answer within 10 s"}


def test_a_held_release_is_undone_with_an_abort_and_shows_no_switch() -> None:
    document = plan.make_plan(TARGET, Path(), ["a"], BUNDLE, {}, hold=True)
    assert document["undo"] == "inv deploy --env test --abort"
    assert document["rollout"]["hold"]
    assert plan.make_plan(TARGET, Path(), ["a"], BUNDLE, {})["undo"] == "inv rollback --env test"


def test_a_plan_that_may_skip_none_stops_at_the_host_that_is_away() -> None:
    with pytest.raises(PreflightError, match="b: no answer"):
        plan.make_plan(TARGET, Path(), ["a", "b"], BUNDLE, {})
