"""Row 1: the client is killed, a laptop is closed, CI is cancelled, at any step."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]

BEFORE_THE_SWITCH = ["begun", "prepared"]
AFTER_IT = ["activating", "activated"]


@pytest.mark.parametrize("moment", BEFORE_THE_SWITCH + AFTER_IT)
def test_a_killed_client_leaves_the_old_release_serving(suffer, moment: str) -> None:
    assert suffer("client gets SIGKILL", moment, hosts=2, which=1).word == "old"


def test_a_client_that_is_killed_after_the_decision_leaves_the_new_release_serving(suffer) -> None:
    assert suffer("client gets SIGKILL", "decided").word == "new"


@pytest.mark.parametrize("moment", ["prepared", "activated"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_client_returns_every_host_before_it_ends(suffer, name: str, moment: str) -> None:
    outcome = suffer(f"client gets {name}", moment, hosts=2)
    assert (outcome.returncode, outcome.word) == (130, "old")


def test_an_interrupt_after_the_decision_does_not_undo_it(suffer) -> None:
    outcome = suffer("client gets SIGINT", "decided", hosts=2)
    assert (outcome.returncode, outcome.word) == (0, "new")


def test_a_host_with_nobody_left_to_decide_says_so_and_returns_at_the_next_deploy(suffer) -> None:
    suffer("client, agent and guardian killed", "activated")


def test_a_pulled_cable_lets_the_host_return_by_itself(suffer) -> None:
    assert suffer("cable pulled", "activated").word == "old"


@pytest.mark.parametrize("moment", ["activated", "switching"])
def test_behind_a_proxy_the_old_instance_serves_when_the_client_dies(suffer, moment: str) -> None:
    assert suffer("client gets SIGKILL", moment, strategy="blue-green").word == "old"


def test_a_rolling_deploy_whose_client_dies_in_the_second_batch_returns_both(suffer) -> None:
    assert suffer("client gets SIGKILL", "activated", strategy="rolling", hosts=2, which=1).word == "old"
