"""Options of ``inv deploy`` that cannot be meant together are refused before anything is contacted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy.run import Options, check_abort, check_with_migrations
from handrail.errors import UsageError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("other", ["plan", "hold", "resume"])
def test_an_abort_is_only_an_abort(other: str) -> None:
    with pytest.raises(UsageError, match="--abort"):
        check_abort(Options("test", abort=True, **{other: True}))
    check_abort(Options("test", abort=True))


def test_a_schema_does_not_go_back_for_some_of_the_hosts() -> None:
    target = SimpleNamespace(hosts=["a", "b"])
    shop: Any = SimpleNamespace(target=target, hosts=["a"], options=Options("test", with_migrations=True))
    with pytest.raises(UsageError, match="--hosts"):
        check_with_migrations(shop)
    shop.hosts = ["a", "b"]
    check_with_migrations(shop)
