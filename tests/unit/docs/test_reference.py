"""The generated pages say what the code says, and the site's menu has every page."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    for name in [name for name in sys.modules if name == "scripts" or name.startswith("scripts.")]:
        monkeypatch.delitem(sys.modules, name)


def test_the_reference_is_what_the_code_says() -> None:
    from scripts.docs import reference

    assert reference.stale() == [], "run: inv docs --write"


def test_a_page_that_says_something_else_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts.docs import reference

    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    assert len(reference.stale()) == 2
    for path, text in reference.pages().items():
        path.write_text(text, encoding="utf-8")
    assert reference.stale() == []
    page = tmp_path / "commands.md"
    page.write_text(page.read_text("utf-8").replace("--env", "--environment", 1), encoding="utf-8")
    assert reference.stale() == [page]


def test_every_task_and_every_key_of_the_schema_is_on_its_page() -> None:
    from scripts.docs import reference

    from handrail.config import schema
    from handrail.tasks.catalog import collection

    commands, keys = (path.read_text("utf-8") for path in reference.pages())
    for name in collection().task_names:
        assert f"### `inv {name}`" in commands
    for name, kind in vars(schema).items():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and not name.startswith("_"):
            for field in kind.__struct_fields__:
                assert f"| `{field}` |" in keys, f"{name}.{field}"


def test_the_menu_of_the_site_names_every_page() -> None:
    menu = set(re.findall(r'= "([\w./-]+\.md)"', (ROOT / "zensical.toml").read_text("utf-8")))
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert menu == pages | {"index.md", "changelog.md", "contributing.md"}
