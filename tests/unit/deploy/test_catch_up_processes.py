"""A catch-up takes the release from a host, and how its processes are run from this checkout: the two must agree."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy.catching_up import check_processes
from handrail.errors import PreflightError

pytestmark = pytest.mark.unit

LAUNCHERS = ["web", "web-blue", "web-green", "migrate", "migrate-state", "migrate-down", "worker", "nightly",
             "nightly.ended", "nightly.scheduled", "scheduler.py"]  # fmt: skip


def run(*processes: str) -> Any:
    return SimpleNamespace(
        release="7-abc", job=SimpleNamespace(target=SimpleNamespace(processes=dict.fromkeys(processes)))
    )


def test_the_processes_that_the_release_has_are_run() -> None:
    check_processes(run("nightly", "worker"), LAUNCHERS, "abcdef0123")


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (["worker"], "7-abc has process 'nightly', which is not declared here"),
        (["worker", "nightly", "mail"], "7-abc has no process 'mail', which is declared here"),
    ],
)
def test_a_checkout_with_other_processes_is_refused_with_the_commit_that_has_the_right_ones(
    declared: list[str], said: str
) -> None:
    with pytest.raises(PreflightError, match=said) as refused:
        check_processes(run(*declared), LAUNCHERS, "abcdef0123")
    assert refused.value.next_step == "check out abcdef0 and run it again"
