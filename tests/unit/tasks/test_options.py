from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from invoke.exceptions import Exit
from invoke.parser import Parser
from invoke.parser.context import ParserContext

from handrail.tasks.options import Option, options_of

pytestmark = pytest.mark.unit


def everything(
    c: Any,
    env: str,
    count: int = 3,
    timeout: float | None = None,
    dry_run: bool = False,
    colour: bool = True,
    format: Literal["text", "json"] = "text",  # noqa: A002
    hosts: list[str] = (),  # type: ignore[assignment]
    sizes: list[int] | None = None,
    folder: Path = Path("dist"),
    yes: bool = False,
    *,
    python: str = "",
) -> None:
    """All kinds of options."""


def parse(body: Callable[..., Any], *words: str, positional: tuple[str, ...] = ()) -> dict[str, Any]:
    options = options_of("try", body, {}, positional)
    parser = Parser(contexts=[ParserContext("try", args=options)])
    (result,) = parser.parse_argv(["try", *words])
    values: dict[str, Any] = result.as_kwargs
    return values


def named(body: Callable[..., Any], **help_texts: str) -> dict[str, Option]:
    return {option.names[0]: option for option in options_of("try", body, help_texts)}


def test_without_words_every_option_has_its_default() -> None:
    assert parse(everything) == {
        "env": None,
        "count": 3,
        "timeout": None,
        "dry_run": False,
        "colour": True,
        "format": "text",
        "hosts": [],
        "sizes": [],
        "folder": Path("dist"),
        "yes": False,
        "python": "",
    }


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--env", "staging"], "env", "staging"),
        (["-e", "staging"], "env", "staging"),
        (["--env=a=b"], "env", "a=b"),
        (["--env", ""], "env", ""),
        (["--count", "7"], "count", 7),
        (["--count=-7"], "count", -7),
        (["--timeout", "2.5"], "timeout", 2.5),
        (["--timeout", "2"], "timeout", 2.0),
        (["--dry-run"], "dry_run", True),
        (["--no-colour"], "colour", False),
        (["--format", "json"], "format", "json"),
        (["--hosts", "a", "--hosts", "b"], "hosts", ["a", "b"]),
        (["--sizes", "1", "--sizes=2"], "sizes", [1, 2]),
        (["--folder", "a/b"], "folder", Path("a/b")),
        (["-y"], "yes", True),
        (["--python", "3.12"], "python", "3.12"),
    ],
)
def test_a_word_becomes_a_value_of_the_annotated_type(words: list[str], name: str, value: Any) -> None:
    found = parse(everything, *words)[name]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--count", "many"], "error: try: --count is 'many', expected a whole number"),
        (["--count", "1.5"], "error: try: --count is '1.5', expected a whole number"),
        (["--count", ""], "error: try: --count is '', expected a whole number"),
        (["--timeout", "soon"], "error: try: --timeout is 'soon', expected a number"),
        (["--timeout", "nan"], "error: try: --timeout is 'nan', expected a number"),
        (["--timeout", "inf"], "error: try: --timeout is 'inf', expected a number"),
        (["--sizes", "1", "--sizes", "x"], "error: try: --sizes is 'x', expected a whole number"),
        (["--format", "jsn"], "error: try: --format is 'jsn'; did you mean 'json'?"),
        (["--format", "yaml"], "error: try: --format is 'yaml'; known: json, text"),
    ],
)
def test_a_bad_value_is_one_line_and_exit_code_2(words: list[str], message: str) -> None:
    with pytest.raises(Exit) as caught:
        parse(everything, *words)
    assert (caught.value.message, caught.value.code) == (message, 2)


def test_only_env_and_yes_have_a_letter() -> None:
    assert {name: option.nicknames for name, option in named(everything).items() if option.nicknames} == {
        "env": ("e",),
        "yes": ("y",),
    }


def test_only_a_parameter_without_default_is_required() -> None:
    assert [name for name, option in named(everything).items() if option.required] == ["env"]


def test_types_given_as_objects_mean_the_same_as_their_text() -> None:
    def body(c: Any, size: Any, ratios: Any = None, word: Any = None, folder: Any = None) -> None: ...

    body.__annotations__ = {"size": int, "ratios": list[float], "word": Literal["x", "y"], "folder": Path | None}
    values = parse(body, "--size", "1", "--ratios", "2", "--word", "x", "--folder", "f")
    assert values == {"size": 1, "ratios": [2.0], "word": "x", "folder": Path("f")}


def test_without_an_annotation_the_default_gives_the_type() -> None:
    def body(c, number=1, flag=False, text=None):  # type: ignore[no-untyped-def]
        """Body."""

    assert parse(body, "--number", "2", "--flag", "--text", "a") == {"number": 2, "flag": True, "text": "a"}


def test_an_annotation_that_no_option_can_have_is_named() -> None:
    def body(c: Any, when: dict[str, str]) -> None: ...

    with pytest.raises(ValueError, match=r"try: when is annotated .*dict"):
        options_of("try", body, {})


def test_help_for_a_parameter_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="try: help for cuont, which is no option; did you mean 'count'"):
        named(everything, cuont="how many")


def test_help_may_use_dashes() -> None:
    assert options_of("try", everything, {"dry-run": "change nothing"})[3].help == "change nothing"


def test_positional_words_are_taken_in_their_order() -> None:
    def body(c: Any, first: str, second: str, third: str = "") -> None: ...

    values = parse(body, "1", "--third", "3", "2", positional=("second", "first"))
    assert values == {"second": "1", "first": "2", "third": "3"}


def test_parsing_leaves_the_declared_options_untouched() -> None:
    (option,) = options_of("try", lambda c, names=("a",): None, {})
    other = copy.deepcopy(option)
    other.value = "b"
    assert other.value == ["b"]
    assert option.value == ["a"]
