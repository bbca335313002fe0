from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handrail.config.schema import Worker
from handrail.deploy.scale import read_numbers
from handrail.errors import UsageError

pytestmark = pytest.mark.unit

TARGET: Any = SimpleNamespace(processes={"worker": Worker(command="work")})


def test_words_become_numbers() -> None:
    assert read_numbers(["web=4", "worker=0"], TARGET) == {"web": 4, "worker": 0}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("workre=1", "did you mean 'worker'?"),
        ("worker", "expected a number from 0 to 99"),
        ("worker=-1", "expected a number"),
        ("worker=100", "expected a number"),
        ("web=0", "expected a number from 1 to 99"),
    ],
)
def test_a_word_that_cannot_be_meant_is_refused(word: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_numbers([word], TARGET)
    assert said in caught.value.message
