"""Faults while something else than a deploy runs: rollbacks, promotions, canaries, `inv scale`, `inv maintenance`."""

from __future__ import annotations

import pytest

from handrail.testing.faults.commands import (
    CANARY,
    HOLD,
    MAINTENANCE,
    PROCESSES,
    PROCESSES_ROLLBACK,
    PROMOTE,
    ROLLBACK,
    SCALE,
    SCHEMA_ROLLBACK,
)

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_a_rollback_whose_client_dies_leaves_the_newer_release_serving(suffer) -> None:
    assert suffer("client gets SIGKILL", "activated", command=ROLLBACK).word == "old"


def test_a_schema_that_was_on_its_way_down_comes_up_again_when_the_client_dies(suffer) -> None:
    assert suffer("client gets SIGKILL", "lowering", command=SCHEMA_ROLLBACK).word == "old"


def test_a_killed_agent_leaves_the_schema_with_the_code_that_serves(suffer) -> None:
    suffer("agent killed", "lowered", command=SCHEMA_ROLLBACK)


def test_a_promotion_whose_host_freezes_leaves_no_host_without_a_release(suffer) -> None:
    suffer("host frozen", "switching", command=PROMOTE, strategy="blue-green", hosts=2)


def test_a_client_that_dies_while_hosts_begin_to_hold_breaks_neither(suffer) -> None:
    assert suffer("client gets SIGKILL", "held", command=HOLD, strategy="blue-green", hosts=2).word == "old"


def test_a_cut_connection_while_a_canary_bakes(suffer) -> None:
    # The lease may run out before the client is back, on a busy machine.
    outcome = suffer("connection cut", "switching", command=CANARY, strategy="canary")
    assert outcome.word == ("new" if outcome.returncode == 0 else "old")


def test_an_interrupted_scale_leaves_every_host_with_the_numbers_that_it_tells(suffer) -> None:
    suffer("client gets SIGINT", "changed", command=SCALE, hosts=2)


def test_a_killed_agent_leaves_the_page_on_all_hosts_or_on_none(suffer) -> None:
    suffer("agent killed", "changed", command=MAINTENANCE, strategy="blue-green", hosts=2)


def test_a_client_that_dies_leaves_workers_and_jobs_with_the_release_that_serves(suffer) -> None:
    assert suffer("client gets SIGKILL", "activated", command=PROCESSES, hosts=2).word == "old"


def test_a_rollback_whose_agent_is_killed_leaves_workers_and_jobs_with_the_release_that_serves(suffer) -> None:
    suffer("agent killed", "activated", command=PROCESSES_ROLLBACK)


def test_a_worker_that_a_reboot_started_as_the_new_release_returns_with_the_host(suffer) -> None:
    suffer("host rebooted", "activated", command=PROCESSES)
