from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from handrail.config.secret import MASK
from handrail.errors import ConfigError, DeployReturnedError, HandrailError, InterruptedByUserError
from handrail.ui.text import TextPrinter

pytestmark = pytest.mark.unit

ACTIONS = {"GITHUB_ACTIONS": "true", "CI": "true"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Screen:
    """A printer with its streams."""

    def __init__(
        self, environ: dict[str, str] | None = None, *, tty: bool = False, typed: str = "", verbose: bool = False
    ) -> None:
        make = Terminal if tty else io.StringIO
        self.out, self.err = make(), make()
        self.printer = TextPrinter(
            out=self.out,
            err=self.err,
            stdin=make(typed),
            environ={"TERM": "xterm", "COLUMNS": "80", **(environ or {})},
            verbose=verbose,
        )

    @property
    def text(self) -> str:
        return self.out.getvalue() + self.err.getvalue()


def say_everything(printer: TextPrinter) -> None:
    printer.info("informed")
    printer.detail("detailed")
    printer.success("succeeded")
    printer.warn("warned")
    printer.command("ls -l")
    printer.output("\x1b[31mcoloured\x1b[0m", "web-1")
    printer.table("Title", ["a", "b"], [["1", "2"]])
    with printer.section("part"):
        printer.annotate("error", "wrong", "a.py", 3)
    with printer.board(["web-1"], ["upload"]) as board:
        board.start("web-1", "upload")
        board.finish("web-1", "upload", 1.2)
    printer.failure(HandrailError("broke", host="web-1", step="upload"), "deploy", "inv deploy", "gh run rerun 1")


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"}, ACTIONS])
def test_nothing_that_is_piped_contains_an_escape_sequence(environ: dict[str, str], tmp_path: Path) -> None:
    screen = Screen(environ)
    say_everything(screen.printer)
    assert "\x1b" not in screen.text
    assert "coloured" in screen.text


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"CI": "true"}])
def test_a_terminal_that_cannot_redraw_gets_plain_lines(environ: dict[str, str]) -> None:
    screen = Screen(environ, tty=True)
    say_everything(screen.printer)
    assert "\x1b" not in screen.text


def test_no_color_on_a_terminal_leaves_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen({"NO_COLOR": "1"}, tty=True)
    say_everything(screen.printer)
    colours = [code for codes in re.findall(r"\x1b\[([0-9;]*)m", screen.text) for code in codes.split(";")]
    assert not [code for code in colours if code[:1] in "3 4 9" and len(code) == 2]


def test_a_terminal_gets_colour_and_a_box() -> None:
    screen = Screen(tty=True)
    say_everything(screen.printer)
    assert "\x1b[32msucceeded" in screen.text
    assert "╭" in screen.text


def test_no_line_of_a_terminal_is_wider_than_it(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen({"COLUMNS": "60"}, tty=True)
    screen.printer.table("t", ["commit", "message"], [["abc", "word " * 40]])
    screen.printer.failure(HandrailError("x" * 200, host="h" * 80), "deploy", "", "")
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.text)
    assert max(len(line) for line in plain.splitlines()) <= 60


def test_a_hidden_secret_is_masked_in_every_method() -> None:
    screen = Screen(verbose=True)
    printer, word = screen.printer, "hunter2-secret"
    printer.hide([word])
    printer.info(word)
    printer.detail(word)
    printer.success(word)
    printer.warn(word)
    printer.command(word)
    printer.output(word, word)
    printer.table(word, [word], [[word]])
    with printer.section(word):
        printer.annotate("error", word, word)
    with printer.board(["h"], ["p"]) as board:
        board.note("h", word)
        board.fail("h", "p", word)
    error = HandrailError(
        word, host=word, step=word, command=word, lines=[word], host_states={word: word}, next_step=word
    )
    printer.failure(error, "deploy", f"inv deploy --set {word}", word)
    assert word not in screen.text
    assert screen.text.count(MASK) >= 18


def test_a_secret_with_quotes_is_masked_inside_a_repr() -> None:
    screen = Screen()
    screen.printer.hide(['p"ass\\word'])
    screen.printer.info(repr('p"ass\\word'))
    assert "word" not in screen.text


def test_each_line_of_a_secret_key_is_masked() -> None:
    screen = Screen()
    screen.printer.hide(["-----BEGIN KEY-----\nAAAABBBBCCCC\n-----END KEY-----\n"])
    screen.printer.output("AAAABBBBCCCC", "web-1")
    assert "AAAABBBBCCCC" not in screen.text


def test_detail_is_shown_only_when_verbose() -> None:
    quiet, loud = Screen(), Screen(verbose=True)
    quiet.printer.detail("fine print")
    loud.printer.detail("fine print")
    assert quiet.text == ""
    assert loud.text == "fine print\n"


def test_warnings_go_to_the_error_stream() -> None:
    screen = Screen()
    screen.printer.warn("careful")
    assert (screen.out.getvalue(), screen.err.getvalue()) == ("", "warning: careful\n")


def test_control_characters_of_a_host_do_not_reach_the_terminal() -> None:
    screen = Screen(tty=True)
    screen.printer.output("a\x1b]0;new title\x07b\x1b[2Jc\rd\x1b[31me", "web-1")
    assert screen.text == "web-1 | abcd\x1b[31me\x1b[0m\n"


def test_a_table_without_a_terminal_has_aligned_columns_and_cuts_nothing() -> None:
    screen = Screen()
    screen.printer.table("Releases", ["id", "by"], [["12-abcdef", "anna"], ["9", "x" * 200]])
    assert screen.text.splitlines() == ["Releases", "id         by", "12-abcdef  anna", f"9          {'x' * 200}"]


def test_an_encoding_without_a_character_shows_a_question_mark() -> None:
    raw = io.BytesIO()
    printer = TextPrinter(out=io.TextIOWrapper(raw, encoding="ascii"), environ={})
    printer.info("naïve")
    assert raw.getvalue() == b"na?ve\n"


@pytest.mark.parametrize(("typed", "expected"), [("staging\n", True), ("stagin\n", False), ("", False)])
def test_only_the_exact_word_confirms(typed: str, expected: bool) -> None:
    screen = Screen(tty=True, typed=typed)
    assert screen.printer.confirm_word("Type staging to go on:", "staging") is expected
    assert "Type staging" in screen.err.getvalue()


def test_nobody_at_the_terminal_confirms_nothing() -> None:
    assert not Screen(typed="staging\n").printer.confirm_word("Type it", "staging")


def test_lines_printed_during_a_live_board_do_not_tear_it() -> None:
    screen = Screen(tty=True)
    with screen.printer.board(["web-1"], ["upload"]) as board:
        board.start("web-1", "upload")
        screen.printer.info("meanwhile")
        board.finish("web-1", "upload", 1.25)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.text)
    assert "meanwhile\n" in plain
    assert "1.2 s" in plain


def test_a_section_is_a_log_group_in_github_actions_and_inner_ones_are_headings() -> None:
    screen = Screen(ACTIONS)
    with screen.printer.section("outer"), screen.printer.section("inner"):
        screen.printer.info("text")
    assert screen.text.splitlines() == ["::group::outer", "inner", "text", "::endgroup::"]


def test_a_log_group_is_closed_when_the_work_inside_fails() -> None:
    screen = Screen(ACTIONS)
    with pytest.raises(KeyError), screen.printer.section("outer"):
        raise KeyError
    assert screen.text.splitlines()[-1] == "::endgroup::"


def test_output_of_others_gives_github_actions_no_commands() -> None:
    screen = Screen(ACTIONS)
    for line in ("::error::boo", "  ::endgroup::", "x ##[error]boo"):
        screen.printer.output(line)
    screen.printer.table("::stop-commands::x", ["::error::a"], [["::error::b"]])
    for line in screen.text.splitlines():
        assert not line.lstrip().startswith("::")
        assert "##[" not in line


def test_an_annotation_outside_github_actions_is_a_line_with_its_place() -> None:
    screen = Screen()
    screen.printer.annotate("warning", "unused", "src/a.py", 7)
    assert screen.text == "src/a.py:7: warning: unused\n"


def test_a_failure_in_github_actions_is_annotated_where_its_message_points(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    screen = Screen({**ACTIONS, "GITHUB_STEP_SUMMARY": str(summary)})
    screen.printer.failure(ConfigError("pyproject.toml:12: unknown key"), "deploy", "inv deploy", "")
    assert "::error file=pyproject.toml,line=12,title=deploy failed::unknown key" in screen.text.splitlines()
    assert "deploy failed" in summary.read_text()


def test_the_summary_is_appended_where_there_is_a_page_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    Screen().printer.summary("# nowhere")
    printer = Screen({"GITHUB_STEP_SUMMARY": str(page)}).printer
    printer.summary("# one")
    printer.summary("# two")
    assert page.read_text() == "# one\n\n# two\n\n"


def test_the_lines_to_copy_from_a_card_stand_outside_its_box() -> None:
    screen = Screen(tty=True)
    rerun = "inv deploy --env staging --hosts " + ",".join(f"web-{n}" for n in range(20))
    screen.printer.failure(DeployReturnedError("broke", host="web-1"), "deploy", rerun, "gh run rerun 1")
    assert f"  again    {rerun}\n" in screen.err.getvalue()


def test_a_card_does_not_repeat_what_was_just_shown_but_the_page_of_a_ci_job_has_it(tmp_path: Path) -> None:
    screen = Screen({**ACTIONS, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")})
    screen.printer.output("applying 0007", "web-1")
    screen.printer.failure(HandrailError("broke", step="migrate", lines=["applying 0007"]), "deploy", "", "")
    screen.printer.failure(HandrailError("broke", step="verify", lines=["unseen"]), "deploy", "", "")

    assert screen.text.count("applying 0007") == 1
    assert "| unseen" in screen.text
    assert "applying 0007" in (tmp_path / "summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("typed", "expected"), [("shop\n", "shop"), ("\n", "web")])
def test_a_question_takes_what_is_typed_and_its_default_for_an_empty_line(typed: str, expected: str) -> None:
    screen = Screen(tty=True, typed=typed)
    assert screen.printer.ask("Name?", "web") == expected
    assert screen.err.getvalue() == "Name? [web] "


def test_an_input_that_ends_is_no_answer() -> None:
    with pytest.raises(InterruptedByUserError, match="no answer"):
        Screen(tty=True, typed="").printer.ask("Write these files?", "yes")


def test_nobody_at_the_terminal_is_asked_nothing() -> None:
    screen = Screen(typed="shop\n")
    assert not screen.printer.can_ask()
    assert screen.printer.ask("Name?", "web") == "web"
    assert screen.err.getvalue() == ""
