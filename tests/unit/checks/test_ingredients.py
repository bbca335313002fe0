"""What a matrix session installs: everything locked, whether or not it has a hash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handrail.checks.wheel import session_ingredients
from handrail.config.schema import Project
from handrail.testing import FakeRunner, RecordingPrinter

pytestmark = pytest.mark.unit

HASHED = (
    "attrs==26.1.0 ; python_full_version < '3.13' \\\n    --hash=sha256:11 \\\n    --hash=sha256:22\n    # via shop\n"
)
FOLDER = "-e ../common\n    # via shop\n"
COMMIT = "tools @ git+https://example.org/tools@0123456789abcdef0123456789abcdef01234567\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[tool.handrail]\napp = "shop"\n')
    (tmp_path / "uv.lock").write_text("version = 1\n")
    return tmp_path


def exporting(text: str) -> FakeRunner:
    def export(call: Any) -> None:
        Path(call.argv[call.argv.index("--output-file") + 1]).write_text(text)

    runner = FakeRunner()
    runner.answer("uv", "export", effect=export)
    return runner


def test_what_has_no_hash_is_installed_beside_what_has_one(root: Path) -> None:
    runner = exporting(FOLDER + HASHED + COMMIT)

    found = session_ingredients(root, Project(app="shop"), runner, RecordingPrinter())

    assert found.requirements.read_text() == HASHED
    assert found.unhashed is not None
    assert found.unhashed.read_text() == FOLDER + COMMIT
    assert session_ingredients(root, Project(app="shop"), runner, RecordingPrinter()) == found
    assert len(runner.calls) == 1


def test_a_lock_with_a_hash_for_everything_has_nothing_beside(root: Path) -> None:
    found = session_ingredients(root, Project(app="shop"), exporting(HASHED), RecordingPrinter())

    assert (found.requirements.read_text(), found.unhashed) == (HASHED, None)
