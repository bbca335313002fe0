"""What a release tells its hosts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handrail.config.secret import MASK, Secret
from handrail.config.values import Value
from handrail.deploy.plan import _compare, show_plan
from handrail.deploy.release import check_bundle_fits, environment_text, release_id, variable_digests
from handrail.errors import ConfigError
from handrail.testing import RecordingPrinter

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


@pytest.mark.security
def test_a_shown_plan_gives_new_values_masks_secrets_and_names_what_would_refuse() -> None:
    printer = RecordingPrinter()
    row = {
        "host": "web1",
        "running": None,
        "behind": {"sentence": "serves 1-a and should serve 2-b"},
        "commits": None,
        "variables": {"added": ["KEY", "LEVEL"], "changed": ["GREETING"], "removed": ["OLD"]},
        "travels": {"bytes": 10, "objects": 1, "wheels": []},
        "way_back": "first release: nothing to return to",
        "locked_by": None,
        "problems": [],
    }
    plan = {
        "app": "shop",
        "environment": "staging",
        "commit": "0123456789",
        "dirty": False,
        "bundle": "f" * 64,
        "strategy": "restart",
        "migrate": None,
        "variables": {"GREETING": "two\nlines", "KEY": str(Secret("hunter22")), "LEVEL": "debug"},
        "approval": True,
        "problems": ["commit 0123456 has no record of inv check"],
        "undo": "",
        "hosts": [row],
        "rollout": {
            "strategy": "rolling",
            "batches": [["web1"], ["web2", "web3"]],
            "batch_wait": 90.0,
            "max_failed": 1,
            "seconds": 90.0,
        },
        "left_out": {},
        "stays_behind": {},
        "taken_out": [],
    }

    show_plan(plan, printer, "inv deploy --env staging --hosts web1")

    text = printer.text
    assert "+ LEVEL = debug" in text
    assert f"+ KEY = {MASK}" in text
    assert "~ GREETING = two lines" in text
    assert "- OLD" in text
    assert "serves 1-a and should serve 2-b; it is brought along" in text
    assert "rolling: 2 batches, 90 s between two (90 s of waiting); 1 may fail and be left out" in text
    assert "2. 2 hosts: web2, web3" in text
    assert "would refuse: commit 0123456 has no record" in text
    assert "asks for the name 'staging'" in text
    assert "Nothing was changed. To do it: inv deploy --env staging --hosts web1" in text
    assert "To undo it" not in text, "there is nothing to return to"
