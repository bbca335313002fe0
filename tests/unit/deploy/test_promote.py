"""What a promotion and ``--hold`` decide without a host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy.promote import held_everywhere
from handrail.deploy.run import Options, check_hold
from handrail.deploy.status import tunnel
from handrail.errors import PreflightError, UsageError

pytestmark = pytest.mark.unit


def holding(deploy: str, step: str = "held") -> dict[str, Any]:
    held = {"who": "ada@desk", "since": 0.0, "slot": "green", "port": 8001}
    return {"transaction": {"step": step, "deploy": deploy, "release": f"4-{deploy}", "held": held}}


def test_hosts_that_hold_the_same_release_agree() -> None:
    assert held_everywhere({"a": holding("d1"), "b": holding("d1")}, "test")["release"] == "4-d1"


def test_nothing_held_names_the_command_that_holds() -> None:
    with pytest.raises(PreflightError, match="no host of test holds a release") as refused:
        held_everywhere({"a": {"transaction": None}, "b": holding("d1", "prepared")}, "test")
    assert refused.value.next_step.startswith("inv deploy --env test --hold")


@pytest.mark.parametrize("other", [{"transaction": None}, holding("d2"), holding("d1", "returned")])
def test_hosts_that_differ_are_named_with_what_they_hold(other: dict[str, Any]) -> None:
    with pytest.raises(PreflightError, match="do not hold the same release") as refused:
        held_everywhere({"a": holding("d1"), "b": other}, "test")
    assert refused.value.host_states["a"].startswith("holds 4-d1 on port 8001 without traffic, since 1970")
    assert refused.value.host_states["a"].endswith("by ada@desk")


@pytest.mark.parametrize("strategy", ["restart", "rolling"])
def test_hold_with_a_strategy_without_a_second_instance_is_one_line(strategy: str) -> None:
    target: Any = SimpleNamespace(strategy=strategy, environment="test")
    with pytest.raises(UsageError, match=rf"--hold needs strategy = \"blue-green\", and test has '{strategy}'"):
        check_hold(target, Options("test", hold=True))
    check_hold(target, Options("test"))


@pytest.mark.parametrize(
    ("host", "line"),
    [
        ("web1", "ssh -N -L 8001:127.0.0.1:8001 web1"),
        ("deploy@web1:2222", "ssh -N -L 8001:127.0.0.1:8001 -p 2222 deploy@web1"),
    ],
)
def test_the_way_to_look_at_a_held_release_is_a_line_that_ssh_takes(host: str, line: str) -> None:
    assert tunnel(host, 8001) == line
