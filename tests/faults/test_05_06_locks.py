"""Rows 5 and 6: there is no stale lock, and of two deploys at once one wins."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.parametrize("moment", ["activating", "activated"])
def test_without_agent_and_guardian_the_lock_is_free_and_the_client_still_returns_the_host(suffer, moment) -> None:
    assert suffer("agent and guardian killed", moment).word == "old"


def test_a_deploy_goes_on_without_its_guardian(suffer) -> None:
    assert suffer("guardian killed", "activated", hosts=2).word == "new"


@pytest.mark.parametrize("moment", ["begun", "prepared"])
def test_a_second_deploy_is_told_who_deploys_and_does_not_disturb(suffer, moment) -> None:
    outcome = suffer("two deploys at once", moment, hosts=2, which=1)
    # The first one's agent is stopped meanwhile: where that takes long, it gives up, and all hosts return.
    assert outcome.word == ("new" if outcome.returncode == 0 else "old")
