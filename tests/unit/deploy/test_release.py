"""What a release tells its hosts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handrail.config.secret import Secret
from handrail.config.values import Value
from handrail.deploy.plan import _compare
from handrail.deploy.release import check_bundle_fits, environment_text, release_id, variable_digests
from handrail.errors import ConfigError

pytestmark = pytest.mark.unit


def values(**texts: str) -> dict[str, Value]:
    return {name: Value(name, Secret(text), "test") for name, text in texts.items()}


def bundle(**changes: Any) -> Any:
    return SimpleNamespace(**{"commit": "0123456789" * 4, "digest": "f" * 64, "dirty": False, "app": "shop", **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "7-0123456"),
        ({"dirty": True}, "7-0123456.dirty"),
        ({"commit": ""}, "7-fffffff"),
    ],
)
def test_a_release_id_is_the_fleets_number_and_the_commit(changes: dict[str, Any], expected: str) -> None:
    assert release_id(7, bundle(**changes)) == expected


def test_a_bundle_of_another_app_is_refused() -> None:
    with pytest.raises(ConfigError, match="the bundle holds app 'other'"):
        check_bundle_fits(bundle(app="other"), bundle())


def test_the_env_file_holds_the_raw_values() -> None:
    assert environment_text(values(KEY="it's")) == "export KEY='it'\\''s'\n"


@pytest.mark.security
def test_digests_of_variables_hold_no_value_and_differ_with_the_salt() -> None:
    one, two = variable_digests(values(KEY="hunter22")), variable_digests(values(KEY="hunter22"))
    assert "hunter22" not in str(one)
    assert one["digests"]["KEY"] != two["digests"]["KEY"]


def test_a_plan_names_variables_that_were_added_changed_and_removed() -> None:
    old = variable_digests(values(SAME="1", CHANGED="1", REMOVED="1"))
    assert _compare(old, values(SAME="1", CHANGED="2", ADDED="1")) == {
        "added": ["ADDED"],
        "changed": ["CHANGED"],
        "removed": ["REMOVED"],
    }
