"""Rows 3, 4 and 15: a host that is not healthy, a remote step that a signal ends, old code that still runs."""

from __future__ import annotations

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.faults import Fault
from handrail.testing.faults.strike import Strike

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.parametrize("strategy", ["restart", "blue-green"])
def test_one_unhealthy_host_returns_all_of_them_and_is_named(suffer, strategy: str) -> None:
    outcome = suffer("one host unhealthy", strategy=strategy, hosts=2, which=1)
    assert (outcome.returncode, outcome.word) == (5, "old")
    assert "container-b" in outcome.client.document["error"]["message"]
    assert "503" in outcome.client.stderr


def test_a_release_that_does_not_start_returns_with_its_last_words(suffer) -> None:
    outcome = suffer("release does not start", hosts=2)
    assert outcome.word == "old"
    assert "the settings are incomplete" in outcome.client.stderr


def test_a_remote_step_that_a_signal_ends_is_a_failure_that_names_it(suffer) -> None:
    outcome = suffer("migration killed by a signal")
    assert (outcome.returncode, outcome.word) == (4, "old")
    assert "SIGKILL" in outcome.client.stderr
    assert "out of memory?" in outcome.client.stderr


@pytest.mark.parametrize("moment", ["prepared", "activating", "activated", "decided"])
def test_a_killed_agent_never_becomes_a_success_by_accident(suffer, moment: str) -> None:
    outcome = suffer("agent killed", moment, hosts=2, which=1)
    assert outcome.word == ("new" if outcome.returncode == 0 else "old")


def test_a_service_that_is_killed_during_activation(suffer) -> None:
    suffer("service killed", "activated", hosts=2)


def do_not_restart(strike: Strike) -> None:
    """A process manager that says it restarted the service, and did not."""
    host: ContainerHost = strike.host
    host.run_as_root(
        "mv /usr/bin/systemctl /usr/bin/systemctl.real; cat > /usr/bin/systemctl; chmod 755 /usr/bin/systemctl",
        stdin='#!/bin/sh\ncase "$1" in restart) exit 0;; esac\nexec /usr/bin/systemctl.real "$@"\n',
    )
    strike.after.callback(host.run_as_root, "mv -f /usr/bin/systemctl.real /usr/bin/systemctl")


def test_an_old_process_that_still_answers_is_not_taken_for_the_new_release(suffer) -> None:
    outcome = suffer(Fault("the service is not restarted", 15, before=do_not_restart, returncodes=(5,)))
    assert outcome.word == "old"
    assert "reports release" in outcome.client.stderr
