"""Who may say that a rollback crosses migrations: a person, in words; what cannot be undone, no approval covers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy.gates import confirm_rollback, demand_irreversible
from handrail.deploy.run import Options
from handrail.errors import PreflightError
from handrail.testing import RecordingPrinter

pytestmark = pytest.mark.unit

CROSSED = {"2-b": [], "3-c": ["0003_drop"]}


def demand(answers: list[str], migrations: dict[str, list[str]] = CROSSED, **options: bool) -> bool:
    shop = SimpleNamespace(
        options=Options(environment="production", **options),  # type: ignore[arg-type]
        printer=RecordingPrinter(answers=answers),
    )
    return demand_irreversible(shop, "1-a", migrations)  # type: ignore[arg-type]


def test_nothing_is_asked_where_everything_can_be_undone() -> None:
    assert demand([], {"2-b": []}) is False


def test_the_name_of_the_migration_typed_at_a_terminal_is_a_word() -> None:
    assert demand(["0003_drop"]) is True
    with pytest.raises(PreflightError):
        demand(["production"])


def test_yes_is_not_enough_and_the_flag_is() -> None:
    with pytest.raises(
        PreflightError, match="release 3-c ran 0003_drop, which cannot be undone, and 1-a is older"
    ) as e:
        demand([], yes=True)
    assert "--across-irreversible" in e.value.next_step
    assert demand([], across_irreversible=True) is True


@pytest.mark.parametrize(
    ("options", "answers", "agrees"),
    [({}, ["production"], True), ({}, [], False), ({"yes": True}, [], True), ({"with_migrations": True}, [], True)],
)
def test_migrations_between_are_asked_about_whoever_has_approved_of_the_rollback_itself(
    options: dict[str, bool], answers: list[str], agrees: bool
) -> None:
    shop: Any = SimpleNamespace(
        options=Options(environment="production", **options),  # type: ignore[arg-type]
        printer=RecordingPrinter(answers=answers),
        target=SimpleNamespace(environment="production", app="shop", approval=True),
        hosts=["a"],
    )
    if agrees:
        confirm_rollback(shop, "1-a", {"2-b": []})
    else:
        with pytest.raises(PreflightError, match="a person has to agree"):
            confirm_rollback(shop, "1-a", {"2-b": []})
    assert ("the migrations of 2-b stay" in shop.printer.text) is not options.get("with_migrations", False)
