from __future__ import annotations

import pytest

from handrail.errors import DeployReturnedError, HandrailError, UsageError
from handrail.ui.card import card_markdown, card_text, how_it_ended, make_card

pytestmark = pytest.mark.unit

FULL = DeployReturnedError(
    "web-2 did not become healthy",
    host="web-2",
    step="verify",
    command="GET http://127.0.0.1:8000/healthz",
    returncode=-9,
    lines=["ValueError: no", ""],
    host_states={"web-1": "serves release 12", "web-2": "serves release 12"},
    next_step="inv logs --env staging",
)


def test_a_card_tells_everything_in_a_fixed_order() -> None:
    text = card_text(make_card(FULL, "deploy", "inv deploy --env staging", "gh run rerun 1 --failed"))
    assert text.splitlines() == [
        "deploy failed: web-2 did not become healthy",
        "  host     web-2",
        "  step     verify",
        "  command  GET http://127.0.0.1:8000/healthz",
        "  ended    killed by signal 9 (SIGKILL: out of memory?)",
        "  last lines",
        "    | ValueError: no",
        "    |",
        "  hosts",
        "    web-1    serves release 12",
        "    web-2    serves release 12",
        "  again    inv deploy --env staging",
        "  in CI    gh run rerun 1 --failed",
        "  next     inv logs --env staging",
    ]


def test_a_mistyped_line_is_one_line_and_is_not_offered_again() -> None:
    error = UsageError("unknown environment 'stagin'; did you mean 'staging'?", next_step="inv env --env staging")
    text = card_text(make_card(error, "deploy", "inv deploy --env stagin", "gh run rerun 1"))
    assert text.splitlines() == [
        "error: deploy: unknown environment 'stagin'; did you mean 'staging'?",
        "next: inv env --env staging",
    ]


def test_only_the_last_twenty_lines_are_kept() -> None:
    error = HandrailError("broke", lines=[f"line {number}" for number in range(50)])
    assert make_card(error, "test", "", "").lines == [f"line {number}" for number in range(30, 50)]


def test_a_large_fleet_is_grouped_by_state() -> None:
    states = {f"web-{number}": "serves 12" for number in range(30)} | {"web-30": "needs a person"}
    card = make_card(HandrailError("broke", host_states=states), "deploy", "", "")
    assert len(card.hosts) == 2
    assert card.hosts[0][0] == "30 hosts"
    assert card.hosts[1] == ("web-30", "needs a person")


@pytest.mark.parametrize(
    ("returncode", "words"),
    [
        (None, ""),
        (0, "exit code 0"),
        (1, "exit code 1"),
        (-15, "killed by signal 15 (SIGTERM)"),
        (-9, "killed by signal 9 (SIGKILL: out of memory?)"),
        (-999, "killed by signal 999"),
        (137, "exit code 137, as after signal 9 (SIGKILL: out of memory?)"),
        (255, "exit code 255"),
    ],
)
def test_an_exit_status_is_told_in_words(returncode: int | None, words: str) -> None:
    assert how_it_ended(returncode) == words


def test_a_message_that_begins_with_file_and_line_has_a_place() -> None:
    assert make_card(HandrailError("env/a.env:3: no"), "env", "", "").place == ("env/a.env", 3)
    assert make_card(HandrailError("web-1: no: x"), "env", "", "").place == ("", 0)


def test_output_cannot_break_out_of_the_summary_page() -> None:
    error = HandrailError("a <b> [c](d)", lines=["````", "# heading"])
    text = card_markdown(make_card(error, "test", "", ""))
    assert "`````text\n````\n# heading\n`````" in text
    assert "\\<b\\> \\[c\\](d)" in text
