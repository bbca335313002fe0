"""An interrupt that comes at a bad moment is answered a moment later, and not lost."""

from __future__ import annotations

import os
import signal

import pytest

from handrail.deploy.interrupts import in_one_piece, interruptible, uninterruptible

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_to_be_done_in_one_piece_is_done_before_the_interrupt(number: signal.Signals) -> None:
    done = []

    def work() -> None:
        with in_one_piece():
            os.kill(os.getpid(), number)
            done.append("all of it")
        done.append("and no more")

    with interruptible(), pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["all of it"]


def test_where_nothing_may_interrupt_a_piece_of_it_changes_nothing() -> None:
    with uninterruptible(), in_one_piece():
        os.kill(os.getpid(), signal.SIGINT)
