"""Rows 16, 17 and 18: cut and frozen connections, hosts that reboot, servers that refuse."""

from __future__ import annotations

import pytest

from handrail.testing.faults import CUTS, cut_after

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.parametrize("per_cent", CUTS)
def test_a_connection_that_is_cut_after_so_many_bytes(suffer, per_cent: float) -> None:
    suffer(cut_after(per_cent), hosts=2, which=1)


def test_a_cut_after_the_decision_does_not_stop_the_deploy(suffer) -> None:
    assert suffer("connection cut", "decided").word == "new"


def test_a_cut_in_between_returns_the_fleet(suffer) -> None:
    suffer("connection cut", "activated", strategy="blue-green")


@pytest.mark.parametrize("name", ["agent frozen", "host frozen"])
def test_what_was_frozen_for_longer_than_the_lease_does_not_act_when_it_wakes_up(suffer, name: str) -> None:
    outcome = suffer(name, "activated", hosts=2)
    # A guardian that was frozen before its first look counts its lease from there.
    assert outcome.word == ("new" if outcome.returncode == 0 else "old")


@pytest.mark.parametrize("moment", ["prepared", "activated"])
def test_a_host_that_reboots_in_the_middle_serves_one_release_and_tells_which(suffer, moment: str) -> None:
    suffer("host rebooted", moment)


def test_a_host_that_loses_all_processes_of_its_user_recovers(suffer) -> None:
    suffer("all of the user's processes killed", "activated")


def test_a_server_that_refuses_most_connections_is_asked_again(suffer) -> None:
    suffer("sshd refuses", hosts=2)


@pytest.mark.parametrize("moment", ["begun", "activated"])
def test_a_killed_sshd_costs_no_host(suffer, moment: str) -> None:
    suffer("sshd killed", moment)
