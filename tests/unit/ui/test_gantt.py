"""The chart of hosts by time, as text and as a picture."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import pytest

from handrail.ui.gantt import Chart, Lane, Span, nice_step, plain_chart
from handrail.ui.gantt_svg import svg
from handrail.ui.text import TextPrinter

pytestmark = pytest.mark.unit

SVG = "{http://www.w3.org/2000/svg}"
LONG = "a-host-with-a-rather-long-name.eu-west-1.example.com"


def chart(*lanes: Lane, seconds: float = 4.0) -> Chart:
    phases = list(dict.fromkeys(span.phase for lane in lanes for span in lane.spans))
    return Chart("shop: deploy", [(phase, 1.0) for phase in phases], lanes, seconds, "switch")


TWO = chart(
    Lane("web1", [Span("connect", 0.0, 1.0), Span("commit", 1.0, 3.0)], mark=2.0),
    Lane(LONG, [Span("connect", 0.0, 2.0, is_failed=True)], note="returned"),
)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    many = chart(*(Lane(f"{LONG}-{n}", [Span(p, n / 9, 0.3) for p in ("a", "b", "lock")]) for n in range(9)))
    for each in (TWO, many):
        lines = list(plain_chart(each, width))
        assert max(len(line) for line in lines[1:]) <= width


def test_a_bar_is_as_long_as_its_phase_took() -> None:
    bar = list(plain_chart(TWO, 80))[1]
    assert bar.count("c") == pytest.approx(bar.count("o") / 3, abs=1.5), bar
    assert bar.count("|") == 1


def test_two_phases_never_share_a_letter() -> None:
    names = ["connect", "preflight", "lock", "upload", "prepare", "migrate", "activate", "verify", "switch", "commit"]
    letters = Chart("", [(name, 1.0) for name in [*names, "return"]], [], 1.0).letters
    assert len(set(letters.values())) == 11


def test_the_shortest_phase_is_still_seen() -> None:
    short = chart(Lane("web1", [Span("lock", 0.5, 0.0001), Span("upload", 3.9999, 0.0001)]))
    bar = list(plain_chart(short, 60))[1]
    assert (bar.count("l"), bar.count("u")) == (1, 1)


def test_what_failed_is_marked_and_explained() -> None:
    lines = list(plain_chart(TWO, 80))
    assert "!" in lines[2]
    assert "returned" in lines[2]
    assert "! failed" in lines[-1]


def test_a_long_name_keeps_both_ends() -> None:
    assert list(plain_chart(TWO, 80))[2].startswith("a-host-wi…xample.com")


@pytest.mark.parametrize(("seconds", "step"), [(1.04, 0.2), (9.0, 2.0), (61.0, 20.0), (0.0, 0.0002)])
def test_the_axis_has_round_steps(seconds: float, step: float) -> None:
    assert nice_step(seconds, 6) == step


def test_a_terminal_gets_colours_and_the_same_words() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    TextPrinter(out=shown, environ={"COLUMNS": "80", "TERM": "xterm-256color"}).chart(TWO)
    assert "\x1b[" in shown.getvalue()
    plain = io.StringIO()
    TextPrinter(out=plain, environ={"COLUMNS": "80"}).chart(TWO)
    assert "\x1b[" not in plain.getvalue()
    assert "c connect 1.00 s" in plain.getvalue()


def test_a_name_with_control_characters_does_not_reach_the_terminal() -> None:
    shown = io.StringIO()
    TextPrinter(out=shown, environ={}).chart(chart(Lane("we\x1b[2Jb", [Span("lock", 0, 1)])))
    assert "\x1b" not in shown.getvalue()


def test_the_picture_is_well_formed_and_says_what_it_shows() -> None:
    hostile = chart(Lane('<web> & "1"', [Span("connect", 0.0, 1.0)], mark=0.5), Lane("web2", [], note="no record"))
    root = ElementTree.fromstring(svg(hostile, ["slowest host: <web>"]))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title desc"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert title.text == "shop: deploy"
    assert description.text is not None
    assert '<web> & "1": connect 1.00 s' in description.text
    assert "web2: nothing recorded, no record" in description.text
    bars = [each for each in root.iter(f"{SVG}rect") if each.find(f"{SVG}title") is not None]
    assert len(bars) == 1


def test_the_picture_follows_the_readers_dark_scheme() -> None:
    assert "prefers-color-scheme: dark" in svg(TWO, [])


def test_nothing_of_the_picture_lies_outside_it() -> None:
    root = ElementTree.fromstring(svg(TWO, ["one", "two"]))
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for each in root.iter(f"{SVG}rect"):
        assert float(each.get("x", 0)) + float(each.get("width", 0)) <= width
    for each in root.iter(f"{SVG}text"):
        assert float(each.get("y", 0)) < height
