from __future__ import annotations

from pathlib import Path

import pytest

from handrail.ui import github

pytestmark = pytest.mark.unit


def test_an_annotation_escapes_its_message_and_its_properties() -> None:
    line = github.annotation("error", "50% of\r\nlines: a,b", title="a,b:c", file="src/x,y.py", line=3)
    assert line == "::error file=src/x%2Cy.py,line=3,title=a%2Cb%3Ac::50%25 of%0D%0Alines: a,b"


def test_an_annotation_without_a_place_has_none() -> None:
    assert github.annotation("notice", "hello") == "::notice::hello"


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="fatal"):
        github.annotation("fatal", "x")


@pytest.mark.parametrize("text", ["plain", "a::b", "std::vector", "x\n y :: z"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert github.harmless(text) == text


@pytest.mark.parametrize("text", ["::error::x", "\t ::add-mask::y", "fine\n::endgroup::", "##[group]z"])
def test_a_command_is_defused(text: str) -> None:
    for line in github.harmless(text).splitlines():
        assert not line.lstrip().startswith("::")
        assert "##[" not in line


def test_a_page_that_cannot_be_written_costs_nobody_the_result(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    github.append_summary("one", {"GITHUB_STEP_SUMMARY": str(page)})
    github.append_summary("two", {"GITHUB_STEP_SUMMARY": str(tmp_path)})
    github.append_summary("two", {"GITHUB_STEP_SUMMARY": str(tmp_path / "gone" / "page.md")})
    assert page.read_text() == "one\n\n"
