"""Options of ``inv deploy`` that cannot be meant together are refused before anything is contacted."""

from __future__ import annotations

import pytest

from handrail.deploy.run import Options, check_abort
from handrail.errors import UsageError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("other", ["plan", "hold", "resume"])
def test_an_abort_is_only_an_abort(other: str) -> None:
    with pytest.raises(UsageError, match="--abort"):
        check_abort(Options("test", abort=True, **{other: True}))
    check_abort(Options("test", abort=True))
