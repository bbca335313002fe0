"""``inv env`` shows every value with its source, and no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from handrail.config.secret import MASK
from handrail.config.values import load_values
from handrail.errors import UsageError
from handrail.tasks.base import TaskContext
from handrail.tasks.env import describe, env
from handrail.testing.printer import RecordingPrinter

pytestmark = pytest.mark.unit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "example.env").write_text(
        "# type: port, needed by: deploy\nPORT=\n# secret: yes\nTOKEN=\n# type: string\nEMPTY=\n"
    )
    (tmp_path / "env" / "staging.env").write_text("MORE=x\nEMPTY=\n")
    return tmp_path


def test_a_row_says_value_source_and_who_needs_it(root: Path) -> None:
    rows = {row["name"]: row for row in describe(load_values(root, "staging", process={"TOKEN": "hidden"}))}

    assert list(rows) == ["EMPTY", "MORE", "PORT", "TOKEN"]
    assert rows["MORE"] == {
        "name": "MORE",
        "value": "x",
        "secret": False,
        "source": "env/staging.env:1",
        "type": "string",
        "needed_by": [],
        "missing": False,
        "shown": "x",
    }
    assert (rows["PORT"]["value"], rows["PORT"]["shown"], rows["PORT"]["missing"]) == (None, "(not set)", True)
    assert (rows["EMPTY"]["value"], rows["EMPTY"]["shown"], rows["EMPTY"]["missing"]) == ("", "(empty)", True)
    assert (rows["TOKEN"]["source"], rows["TOKEN"]["secret"]) == ("process environment", True)


@pytest.mark.security
def test_no_row_holds_a_secret(root: Path) -> None:
    assert "hidden" not in json.dumps(describe(load_values(root, "staging", process={"TOKEN": "hidden"})))


def test_a_comparison_names_its_environments_itself(root: Path) -> None:
    with pytest.raises(UsageError, match="takes no --env"):
        env(TaskContext(RecordingPrinter(), root), env="staging", diff=["staging", "production"])


@pytest.mark.security
def test_the_task_gives_table_document_and_warnings_with_secrets_masked(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "pyproject.toml").write_text('[tool.handrail]\napp = "shop"\nenvironments.staging.hosts = ["a.example"]\n')
    monkeypatch.setenv("TOKEN", "hidden")
    printer = RecordingPrinter()

    env(TaskContext(printer, root), env="staging")

    [(_, columns, rows)] = printer.tables
    [document] = printer.documents
    assert columns == ["Name", "Value", "Source", "Needed by"]
    assert rows[-1] == ["TOKEN", MASK, "process environment", "app"]
    assert document["warnings"] == ["env/staging.env:1: MORE is not declared in env/example.env"]
    assert "hidden" not in repr(printer.events) + json.dumps(document)
