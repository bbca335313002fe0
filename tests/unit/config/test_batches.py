from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.config.batches import batch_problem, split

pytestmark = pytest.mark.unit

HOSTS = [f"web-{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([1, "100%"], [1, 19]),
        ([1, "10%", "100%"], [1, 2, 17]),
        (["50%"], [10, 10]),
        ([8], [8, 8, 4]),
        (["1%"], [1] * 20),
    ],
)
def test_each_entry_is_the_next_batch_and_the_last_one_repeats(sizes: list[int | str], expected: list[int]) -> None:
    assert [len(batch) for batch in split(HOSTS, sizes)] == expected


@given(
    st.integers(0, 200), st.lists(st.one_of(st.integers(1, 50), st.integers(1, 100).map(lambda n: f"{n}%")), min_size=1)
)
def test_every_host_is_in_exactly_one_batch_in_its_order(count: int, sizes: list[int | str]) -> None:
    hosts = [str(number) for number in range(count)]
    assert [host for batch in split(hosts, sizes) for host in batch] == hosts


@pytest.mark.parametrize("size", [0, -1, "0%", "101%", "10", "ten%", ""])
def test_a_batch_of_nobody_or_nothing_is_named(size: int | str) -> None:
    assert "is no batch" in batch_problem(size)
    assert batch_problem(1) == batch_problem("100%") == ""
