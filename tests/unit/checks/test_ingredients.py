"""What a matrix session installs: everything locked, whether or not it has a hash."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from handrail.checks.wheel import newest_source, session_ingredients
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


@pytest.mark.parametrize(
    ("name", "goes_in"),
    [
        ("src/shop/page.md", True),
        ("src/shop/.defaults", True),
        ("src/shop/.templates/page.html", True),
        ("src/shop/page_cache/store.py", True),
        ("src/shop/__pycache__/a.pyc", False),
        ("src/.mypy_cache/x.json", False),
        ("CHANGELOG.md", False),
        (".env", False),
        (".github/workflows/ci.yml", False),
        ("tests/test_shop.py", False),
    ],
)
def test_whatever_a_package_can_take_along_makes_an_older_wheel_stale(root: Path, name: str, goes_in: bool) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    for each in root.rglob("*"):
        os.utime(each, ns=(10**9, 10**9))

    os.utime(path, ns=(2 * 10**9, 2 * 10**9))

    assert (newest_source(root) == 2 * 10**9) is goes_in
