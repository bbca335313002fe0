"""How often a command looks for cyclic garbage."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit


def test_a_command_looks_for_garbage_seldom_and_not_at_its_end() -> None:
    # What is registered first runs last: nothing is left to be looked through when Python takes itself down.
    code = (
        "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 1000, len(gc.get_objects()) < 1000));"
        "import handrail; handrail.collection(); print(gc.get_threshold()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["10000", "True", "True"]
