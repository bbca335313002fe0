"""Which irreversible migrations a run of ``migrate`` has crossed, as far as tools tell; one run at a time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from handrail.agent.app import App
from handrail.agent.schema import crossed, run_migration

pytestmark = pytest.mark.unit

DJANGO = {"before": "notes 0006_add", "after": "notes 0007_drop_column"}
ALEMBIC = {"before": "a1", "after": "c3"}


@pytest.mark.parametrize(
    ("schema", "lines"),
    [
        (DJANGO, []),
        (ALEMBIC, ["INFO  Running upgrade a1 -> 0007_drop_column, drop"]),
        (None, ["Applying notes.0007_drop_column... OK"]),
    ],
)
def test_a_name_in_the_new_state_or_in_what_migrate_printed_was_applied(schema, lines: list[str]) -> None:
    assert crossed(["0007_drop_column"], ["0007_drop_column"], schema, lines) == ["0007_drop_column"]


def test_a_name_that_nothing_prints_was_applied_by_the_release_that_declares_it_first() -> None:
    assert crossed(["b2"], [], ALEMBIC, []) == ["b2"]
    assert crossed(["b2"], ["b2"], ALEMBIC, []) == []


def test_what_the_database_had_before_was_not_applied_again() -> None:
    assert crossed(["notes 0006_add"], [], DJANGO, ["notes 0006_add is there"]) == []


def test_a_name_is_found_as_a_whole_only() -> None:
    assert crossed(["0007_drop"], ["0007_drop"], DJANGO, ["0007_drop_column"]) == []


def test_two_migrations_run_one_after_the_other(tmp_path: Path) -> None:
    app = App(str(tmp_path), "shop")
    app.make_folders()
    launcher = tmp_path / "migrate"
    launcher.write_text(f"#!/bin/sh\necho began >> {tmp_path}/log\nsleep 0.2\necho ended >> {tmp_path}/log\n")
    launcher.chmod(0o755)
    threads = [threading.Thread(target=run_migration, args=(app, str(launcher))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "log").read_text().split() == ["began", "ended"] * 2
