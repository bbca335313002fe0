"""The documentation builds, and everything on its pages leads somewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="the site's generator needs Python 3.11"),
]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from scripts.docs import site

    monkeypatch.setattr(site, "STAGE", tmp_path / "stage")


def test_the_site_is_built_without_a_dead_link(tmp_path: Path) -> None:
    from scripts.docs import site

    assert site.build(tmp_path / "site") == []
    front = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert "From a fresh clone to a healthy release" in front
    assert "https://fonts." not in front
    assert (tmp_path / "site" / "reference" / "commands.html").is_file()


def test_a_dead_link_and_a_dead_anchor_fail_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts.docs import site

    lay_out = site.stage

    def with_dead_links() -> None:
        lay_out()
        page = site.STAGE / "docs" / "ci.md"
        page.write_text(f"{page.read_text('utf-8')}\n[x](nowhere.md) and [y](hosts.md#nothing)\n", encoding="utf-8")

    monkeypatch.setattr(site, "stage", with_dead_links)
    said = "\n".join(site.build(tmp_path / "site"))
    assert "page does not exist" in said
    assert "anchor does not exist" in said
    assert not (tmp_path / "site").exists()


def test_links_of_the_built_pages_are_followed(tmp_path: Path) -> None:
    from scripts.docs import site

    (tmp_path / "a.html").write_text(
        '<h1 id="top">x</h1><a href="b.html#here"></a><a href="b.html#gone"></a><img src="no.png">'
        '<a href="https://example.org/x"></a><a href="#top"></a>'
    )
    (tmp_path / "b.html").write_text('<p id="here"></p>')
    assert site.dead_links(tmp_path) == ["a.html: b.html#gone", "a.html: no.png"]
