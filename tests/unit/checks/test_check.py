"""`inv check` ends in a table and a record, whatever one of its parts lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from handrail.checks import suite
from handrail.checks.check import run_check
from handrail.config.schema import Checks, Project
from handrail.testing import FakeRunner, RecordingPrinter

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("lacking", "red"),
    [
        ("nox", {"test 3.12", "test 3.13"}),
        ("noxfile.py", {"test 3.12", "test 3.13"}),
        ("pytest", {"test", "test 3.12", "test 3.13"}),
    ],
)
def test_what_the_tests_lack_is_red_and_ends_no_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str, red: set[str]
) -> None:
    monkeypatch.setattr(suite, "has_module", lambda name: name != lacking)
    project = Project(app="shop", checks=Checks(types="off", pythons=["3.12", "3.13"]))
    (tmp_path / "pyproject.toml").write_text('[tool.handrail]\napp = "shop"\n')

    outcome = run_check(tmp_path, project, FakeRunner(), RecordingPrinter())

    by_name = {verdict.name: verdict for verdict in outcome.verdicts}
    assert list(by_name) == ["lint", "build", "test", "test 3.12", "test 3.13"]
    assert {name for name in by_name if name.startswith("test") and not by_name[name].is_green} == red
    assert all(lacking in by_name[name].remark for name in red if lacking != "pytest" or name == "test")
    assert outcome.record.pythons == {"3.12": "failed", "3.13": "failed"}


def test_a_project_without_a_matrix_is_not_asked_for_what_one_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "has_module", lambda name: name != "nox")
    monkeypatch.setattr("handrail.checks.check.run_matrix", lambda *_, **__: pytest.fail("there is nothing to run"))
    project = Project(app="shop", checks=Checks(types="off", pythons=[]))
    (tmp_path / "pyproject.toml").write_text('[tool.handrail]\napp = "shop"\n')

    assert run_check(tmp_path, project, FakeRunner(), RecordingPrinter()).record.pythons == {}
