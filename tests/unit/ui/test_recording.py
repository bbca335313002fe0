from __future__ import annotations

import pytest

import handrail.testing
from handrail.errors import HandrailError
from handrail.testing import RecordingPrinter

pytestmark = pytest.mark.unit


def test_everything_said_is_remembered_in_order_and_masked() -> None:
    printer = RecordingPrinter()
    printer.hide(["geheim"])
    printer.info("one geheim")
    with printer.section("part"), printer.board(["web-1"], ["upload"]) as board:
        board.finish("web-1", "upload", 1.0)
    printer.table("t", ["a"], [["geheim"]])
    printer.failure(HandrailError("broke"), "deploy", "again", "")
    assert printer.lines("info") == ["one ••••••"]
    assert [event.kind for event in printer.events] == ["info", "section", "board.finish", "table", "failure"]
    assert "geheim" not in printer.text
    assert printer.failures[0].rerun == "again"


def test_answers_are_used_up_one_by_one() -> None:
    printer = RecordingPrinter(answers=["staging", "wrong"])
    assert [printer.confirm_word("?", "staging") for _ in range(3)] == [True, False, False]


def test_an_unknown_fake_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="FakeFoo"):
        _ = handrail.testing.FakeFoo
