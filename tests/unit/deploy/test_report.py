from __future__ import annotations

from typing import Any

import pytest

from handrail.deploy.report import annotate_failure, github_summary

pytestmark = pytest.mark.unit

DONE: dict[str, Any] = {
    "command": "deploy",
    "app": "shop",
    "environment": "staging",
    "result": "good",
    "release": "12-1f3c9ab",
    "previous": "11-77aa001",
    "commit": "1f3c9ab" + "0" * 33,
    "bundle": "ab" * 32,
    "url": "",
    "seconds": 12.34,
    "undo": "inv rollback --env staging",
    "error": None,
    "hosts": [
        {"host": "web1", "to": "12-1f3c9ab", "state": "", "seconds": {"upload": 1.25, "verify": 2}},
        {"host": "web2", "to": "12-1f3c9ab", "state": "", "seconds": {"upload": 0.5}},
    ],
}
FAILED: dict[str, Any] = {
    **DONE,
    "result": "failed",
    "undo": "",
    "error": {"message": "web1: GET /healthz answered 500", "host": "web1", "step": "verify"},
    "hosts": [{"host": "web1", "to": "11-77aa001", "state": "returned to 11-77aa001", "seconds": {}}],
}


class Notes:
    """The part of a printer that writes to GitHub."""

    def __init__(self) -> None:
        self.annotations: list[tuple[str, str]] = []
        self.summaries: list[str] = []

    def annotate(self, level: str, message: str, file: str = "", line: int = 0) -> None:
        self.annotations.append((level, message))

    def summary(self, markdown: str) -> None:
        self.summaries.append(markdown)


def test_a_success_names_app_environment_release_and_the_way_back() -> None:
    lines = github_summary(DONE).splitlines()

    assert lines[0] == "### ✅ deploy of shop to staging"
    assert "- **Release:** `12-1f3c9ab` (before: `11-77aa001`)" in lines
    assert "- **Commit:** `1f3c9ab00000`" in lines
    assert "- **Time:** 12.3 s" in lines
    assert lines[-1] == "To undo it: `inv rollback --env staging`"


def test_each_host_has_a_row_with_its_seconds_by_phase() -> None:
    lines = github_summary(DONE).splitlines()

    assert "| Host | Serves | upload | verify |" in lines
    assert "| --- | --- | ---: | ---: |" in lines
    assert "| web1 | 12-1f3c9ab | 1.2 s | 2.0 s |" in lines
    assert "| web2 | 12-1f3c9ab | 0.5 s |  |" in lines


def test_a_failure_is_marked_and_says_why_and_what_each_host_serves() -> None:
    text = github_summary(FAILED)

    headline, why, *_ = text.split("\n\n")
    assert headline == "### ❌ deploy of shop to staging: failed"
    assert why == "> web1: GET /healthz answered 500"
    assert "| web1 | 11-77aa001 | returned to 11-77aa001 |" in text
    assert "To undo it" not in text


def test_each_hosts_state_after_a_failure_is_annotated_once() -> None:
    notes = Notes()

    annotate_failure(FAILED, notes)  # type: ignore[arg-type]

    assert notes.annotations == [("notice", "web1: returned to 11-77aa001")], "the card says what failed"
    assert notes.summaries == [github_summary(FAILED)]


def test_a_deploy_that_knew_nothing_yet_still_has_a_summary() -> None:
    assert github_summary({}) == "### ❌ deploy: failed\n"
    assert github_summary({"hosts": None, "seconds": None, "error": None}) == github_summary({})
    annotate_failure({}, Notes())  # type: ignore[arg-type]


@pytest.mark.security
def test_text_from_a_host_cannot_become_markup_or_break_the_table() -> None:
    nasty = "a|b\n## <img src=x> [x](http://evil) `code` *b* _i_"
    hosts = [{"host": nasty, "to": nasty, "state": nasty}]
    text = github_summary({**FAILED, "hosts": hosts, "error": {"message": nasty}, "release": nasty})

    row = next(line for line in text.splitlines() if line.startswith("| a"))
    assert row.replace("\\|", "").count("|") == 4
    outside_code = text.replace("`" + nasty.replace("\n", " ").replace("`", "'") + "`", "")
    assert "<img" not in outside_code
    assert "[x](" not in outside_code
    assert "\n## " not in text
