"""How the tests are shared out: the slow ones stand first in the list, and would all fall to one worker."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let a worker that has nothing left take from the others. Here, so that each way to run the tests has it."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)
