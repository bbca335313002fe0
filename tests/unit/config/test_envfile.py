"""Env files are read entry by entry, and a bad line is named and never repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from handrail.config.envfile import Entry, interpolate, parse_entries, read_entries
from handrail.errors import ConfigError

pytestmark = pytest.mark.unit

FILE = "env/staging.env"


def failure(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_entries(text, FILE)
    return caught.value.message


def test_entries_carry_their_lines() -> None:
    text = "\n# a comment\nA=1\n\n\nexport B='two words' # more\nC=\"x\ny\"\nD=\n"

    assert parse_entries(text, FILE) == [
        Entry("A", "1", line=3, last_line=3, literal=False),
        Entry("B", "two words", line=6, last_line=6, literal=True),
        Entry("C", "x\ny", line=7, last_line=8, literal=False),
        Entry("D", "", line=9, last_line=9, literal=False),
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_are_counted_at_every_kind_of_line_end(newline: str) -> None:
    entries = parse_entries(newline.join(["# x", "A=1", "", "B=2"]), FILE)

    assert [(entry.name, entry.text, entry.line) for entry in entries] == [("A", "1", 2), ("B", "2", 4)]


def test_a_byte_order_mark_is_not_part_of_the_first_name() -> None:
    assert parse_entries("\ufeffA=1\n", FILE)[0].name == "A"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('A=1\n\nB="hidden\n', 'env/staging.env:3: expected NAME=value; the quote " is not closed, or text'),
        ("A='hidden' hidden\n", "env/staging.env:1: expected NAME=value; the quote ' is not closed, or text"),
        ("=hidden\n", "env/staging.env:1: expected NAME=value"),
        ("A=1\nhidden\n", "env/staging.env:2: expected NAME=value, found no '='"),
        ("hid-den=1\n", "env/staging.env:1: expected a name of letters, digits and _ before the '='"),
        ("1A=1\n", "env/staging.env:1: expected a name of letters, digits and _ before the '='"),
        ("A=1\nB=2\nA=hidden\n", "env/staging.env:3: A is set a second time; the first is on line 1"),
        ("A=hid\0den\n", "env/staging.env:1: the value of A contains a NUL character"),
    ],
)
def test_a_bad_line_is_named_and_not_repeated(text: str, expected: str) -> None:
    message = failure(text)

    assert message.startswith(expected)
    assert "hid" not in message


def test_a_missing_file_has_no_entries(tmp_path: Path) -> None:
    assert read_entries(tmp_path, FILE) == []


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / FILE).write_bytes(b"A=1\nB=\xc3\x28\n")

    with pytest.raises(ConfigError, match=r"^env/staging.env:2: byte 0xc3 is not UTF-8 text$"):
        read_entries(tmp_path, FILE)


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir(parents=True)

    with pytest.raises(ConfigError, match=r"^env/staging.env cannot be read"):
        read_entries(tmp_path, FILE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}-${B:-two}-${A:-no}", "1-two-1"),
        ("$A {A} $$", "$A {A} $$"),
        ("${EMPTY:-default}", ""),
        ("", ""),
    ],
)
def test_interpolation_replaces_names_in_braces(text: str, expected: str) -> None:
    assert interpolate(text, {"A": "1", "EMPTY": ""}.get, ConfigError) == expected


def test_interpolation_of_an_unset_name_fails_with_that_name() -> None:
    with pytest.raises(ConfigError, match=r"^MISSING$"):
        interpolate("x${MISSING}", {}.get, ConfigError)
