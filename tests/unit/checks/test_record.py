from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from handrail.checks.record import CheckRecord, read_record, record_path, require_green, write_record
from handrail.errors import PreflightError

pytestmark = pytest.mark.unit

COMMIT = "a" * 40
GREEN = CheckRecord(
    commit=COMMIT,
    dirty=False,
    bundles=["b" * 64],
    verdicts=[{"name": "lint", "state": "passed", "seconds": 1.0}],
    pythons={"3.12": "passed"},
    started="2026-01-01T00:00:00+00:00",
    finished="2026-01-01T00:01:00+00:00",
)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = write_record(tmp_path, GREEN)
    assert path == record_path(tmp_path, COMMIT)
    assert read_record(tmp_path, COMMIT) == GREEN
    assert [each.name for each in path.parent.iterdir()] == [path.name], "nothing half written stays"


def test_a_green_record_lets_a_deploy_of_its_bundle_pass(tmp_path: Path) -> None:
    write_record(tmp_path, GREEN)
    require_green(tmp_path, COMMIT, "b" * 64)
    require_green(tmp_path, COMMIT, "")


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (replace(GREEN, verdicts=[{"name": "test", "state": "failed", "seconds": 1.0}]), "test: failed"),
        (replace(GREEN, verdicts=[{"name": "test 3.10", "state": "not run", "seconds": 0.0}]), "test 3.10: not run"),
        (replace(GREEN, verdicts=[]), "nothing was checked"),
        (replace(GREEN, bundles=["c" * 64]), "was not built by it"),
    ],
)
def test_anything_but_green_refuses_and_says_why(tmp_path: Path, record: CheckRecord, why: str) -> None:
    write_record(tmp_path, record)
    with pytest.raises(PreflightError, match=why) as caught:
        require_green(tmp_path, COMMIT, "b" * 64)
    assert "inv check" in caught.value.next_step


def test_a_run_with_uncommitted_changes_neither_makes_nor_unmakes_a_record(tmp_path: Path) -> None:
    write_record(tmp_path, replace(GREEN, dirty=True))
    with pytest.raises(PreflightError, match="only with uncommitted changes"):
        require_green(tmp_path, COMMIT, "")
    write_record(tmp_path, GREEN)
    write_record(tmp_path, replace(GREEN, dirty=True, verdicts=[]))
    require_green(tmp_path, COMMIT, "")


def test_a_record_copied_to_another_commit_does_not_count(tmp_path: Path) -> None:
    other = "d" * 40
    write_record(tmp_path, GREEN)
    record_path(tmp_path, other).write_text(record_path(tmp_path, COMMIT).read_text())
    with pytest.raises(PreflightError, match="it is of commit aaaaaaaaaaaa"):
        require_green(tmp_path, other, "")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1, "commit": 1}'])
def test_an_unreadable_record_is_none(tmp_path: Path, text: str) -> None:
    path = record_path(tmp_path, COMMIT)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert read_record(tmp_path, COMMIT) is None


@pytest.mark.parametrize("dirty", [None, 0, "no"])
def test_only_a_clear_false_means_clean(tmp_path: Path, dirty: object) -> None:
    path = write_record(tmp_path, GREEN)
    path.write_text(json.dumps({**json.loads(path.read_text()), "dirty": dirty}))
    found = read_record(tmp_path, COMMIT)
    assert found is not None
    assert found.dirty


def test_a_project_without_commits_is_told_to_commit(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="asks for a checked commit"):
        require_green(tmp_path, "", "")
