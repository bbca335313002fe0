from __future__ import annotations

import pytest

from handrail.ui.listing import task_help, task_list

pytestmark = pytest.mark.unit

GROUPS = {
    "check": [("lint", "Check style."), ("test", "Run " + "many " * 30 + "tests.")],
    "deploy": [("deploy", "Go.")],
}


def test_tasks_stand_under_their_heading_in_one_column() -> None:
    lines = task_list(GROUPS, width=80, bold=False).splitlines()
    assert lines[:2] == ["Check", "  lint     Check style."]
    assert "  deploy   Go." in lines
    assert max(map(len, lines)) <= 80


def test_only_headings_are_bold_and_only_when_asked() -> None:
    assert "\033" not in task_list(GROUPS, width=80, bold=False)
    assert task_list(GROUPS, width=80, bold=True).startswith("\033[1mCheck\033[0m\n  lint")


def test_help_shows_usage_documentation_options_and_example() -> None:
    text = task_help(
        "inv deploy [options]", "Ship.\n\nMore.", [("-e, --env TEXT", "where")], "inv deploy -e a", width=80, bold=False
    )
    assert text.splitlines() == [
        "Usage: inv deploy [options]",
        "",
        "  Ship.",
        "",
        "  More.",
        "",
        "Options",
        "  -e, --env TEXT   where",
        "",
        "Example",
        "  inv deploy -e a",
    ]
