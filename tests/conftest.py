"""How the tests are shared out, and what all of them have in common."""

from __future__ import annotations

import os
from typing import Any

import pytest

# As on a user's machine: what the tests start keeps what it compiled, and is not compiled again a thousand times.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# What Nox tells uv of its own session is not meant for the projects of the tests.
os.environ.pop("UV_PROJECT_ENVIRONMENT", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let a worker that has nothing left take from the others: the slow tests stand first in the list, all in a row.

    Here, so that each way to run the tests has it.
    """
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)
