from __future__ import annotations

import io
import sys

import pytest

from handrail.ui.streams import has_colour, has_terminal, show, width_of, without_controls

pytestmark = pytest.mark.unit


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize(
    ("environ", "terminal", "colour"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "xterm", "CI": "true"}, False, False),
    ],
)
def test_the_environment_decides_what_a_terminal_may_show(
    environ: dict[str, str], terminal: bool, colour: bool
) -> None:
    assert has_terminal(Terminal(), environ) is terminal
    assert has_colour(Terminal(), environ) is colour


def test_a_pipe_and_a_closed_stream_are_no_terminals() -> None:
    closed = io.StringIO()
    closed.close()
    assert not has_terminal(io.StringIO(), {"TERM": "xterm"})
    assert not has_terminal(closed, {"TERM": "xterm"})


@pytest.mark.parametrize(("environ", "width"), [({}, 80), ({"COLUMNS": "132"}, 132), ({"COLUMNS": "wide"}, 80)])
def test_the_width_is_that_of_columns_or_eighty(environ: dict[str, str], width: int) -> None:
    assert width_of(io.StringIO(), environ) == width


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[2J",
        "\x1b]0;title\x07",
        "\x1b]8;;http://x\x1b\\",
        "\x1bP1$r\x1b\\",
        "\x1b[?1049h",
        "\x9b",
        "\x00",
        "\r",
        "\x1bc",
    ],
)
def test_control_sequences_are_removed_whole(text: str) -> None:
    assert without_controls(f"a{text}b") == "ab"
    assert without_controls(f"a{text}b", keep_style=True) == "ab"


def test_styles_stay_where_they_are_wanted_and_tabs_and_newlines_everywhere() -> None:
    assert without_controls("\x1b[1;31ma\tb\nc", keep_style=True) == "\x1b[1;31ma\tb\nc"
    assert without_controls("\x1b[1;31ma\tb\nc") == "a\tb\nc"


def test_a_reader_that_left_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Gone())
    show("text")
    sys.stdout.close()
