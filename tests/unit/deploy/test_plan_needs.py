"""A plan that says a release fits, and a deploy that refuses it, would be of no use: both ask for the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handrail.build import bundle as building
from handrail.deploy import plan, preparing

pytestmark = pytest.mark.unit

MEMBERS = (
    building.Member("file", "shop.py", "a" * 64, 1000, 0o644),
    building.Member("wheel", "dep-1-py3-none-any.whl", "b" * 64, 5_000_000, 0o644),
)
BUNDLE = building.Bundle("", "shop", "1", "tree", "", "", False, "3.11", "any", MEMBERS, "")
TARGET: Any = SimpleNamespace(app="shop", service=None, reserve=100)


class FakeSession:
    """A host that refuses nothing and remembers what it was asked in preflight."""

    host = "a"

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def post(self, op: str, **request: Any) -> int:
        if op == "preflight":
            self.asked = {name: value for name, value in request.items() if name != "service"}
        return 1

    def wait(self, _number: int) -> dict[str, Any]:
        return {"problems": [], "missing": [], "page": False}

    def call(self, op: str, **request: Any) -> dict[str, Any]:
        return self.wait(self.post(op, **request))


def test_a_plan_asks_a_host_for_as_much_as_the_deploy_does() -> None:
    planning: Any = FakeSession()
    deploying: Any = FakeSession()
    facts = {
        "current": "",
        "lock": {"held": False},
        "pythons": {"3.11": "python3.11"},
        "system": "Linux",
        "machine": "x86_64",
    }

    plan._plan_host(planning, facts, TARGET, BUNDLE)
    fleet = SimpleNamespace(each=lambda _phase, work, _hosts: (work(deploying), {}))
    run: Any = SimpleNamespace(
        job=SimpleNamespace(target=TARGET), fleet=fleet, facts={"a": facts}, services={"a": None}, lacking=["a"],
        locked=True, gentle_lock=dict,
    )  # fmt: skip
    preparing.preflight(run, BUNDLE)

    assert planning.asked == deploying.asked
    assert planning.asked["need_bytes"] > 5_000_000
