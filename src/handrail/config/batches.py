"""A rolling deploy's batches and a canary's steps: how much changes at a time.

Sizes are read as Ansible's ``serial`` is: each entry is the size of the next batch, a number of hosts or a share
of all of them, and the last one repeats until every host has had its turn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_SHARE = re.compile(r"([0-9]{1,3})%")


def batch_problem(size: int | str) -> str:
    """Return what is wrong with one entry of ``batches``, or ``""``."""
    if isinstance(size, int):
        return "" if size >= 1 else f"{size} is no batch, expected at least 1 host"
    match = _SHARE.fullmatch(size)
    if match and 1 <= int(match[1]) <= 100:
        return ""
    return f"{size!r} is no batch, expected a number of hosts or a share such as '10%'"


def split(hosts: Sequence[str], sizes: Sequence[int | str]) -> list[list[str]]:
    """Return ``hosts`` in batches, in their order; a share is rounded down, and is one host at least."""
    batches: list[list[str]] = []
    done = 0
    for position in range(len(hosts)):
        if done >= len(hosts):
            break
        size = sizes[min(position, len(sizes) - 1)]
        count = size if isinstance(size, int) else len(hosts) * int(size.rstrip("%")) // 100
        batches.append(list(hosts[done : done + max(1, count)]))
        done += max(1, count)
    return batches


def step_problem(step: int | str, hosts: int) -> str:
    """Return what is wrong with one entry of a canary's ``steps`` in an environment of ``hosts``, or ``""``."""
    if isinstance(step, int):
        if step < 1:
            return f"{step} is no step, expected at least 1 host"
        return (
            "" if step < hosts else f"{step} of {hosts} hosts leaves none to compare with; expected fewer, or a share"
        )
    match = _SHARE.fullmatch(step)
    if match and 1 <= int(match[1]) <= 99:
        return ""
    return f"{step!r} is no step, expected a share from '1%' to '99%', or a number of hosts"


def step_size(step: int | str) -> int:
    """Return a step's per cent of the traffic, or its hosts."""
    return step if isinstance(step, int) else int(step.rstrip("%"))
