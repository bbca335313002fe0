"""Every key of a TOML document is found on its line."""

from __future__ import annotations

import pytest

from handrail.config.locate import KeyPath, key_lines, line_of

pytestmark = pytest.mark.unit

DOCUMENT = '''\
# [not.a.header]
title = "x # no comment" # a comment
[a]
b.c = 1
"quoted key" = 'it = "s"'
text = """
[not.a.header]
""\\"" five quotes: """""
d = { e = [1, 2], f.g = 3 }
after = [
  # nothing
  "one", # [x]
  { two = 2 },
]
[a.h.i]
date = 2020-01-01 00:00:00Z
[[list]]
n = 1
[list.sub]
m = 1
[[list]]
n = 2
[[list.deep]]
[[list.deep]]
"\\u0061b" = \'\'\'
x\'\'\'
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("a",), 3),
        (("a", "b"), 4),
        (("a", "b", "c"), 4),
        (("a", "quoted key"), 5),
        (("a", "text"), 6),
        (("a", "d", "e", 1), 9),
        (("a", "d", "f", "g"), 9),
        (("a", "after"), 10),
        (("a", "after", 0), 12),
        (("a", "after", 1, "two"), 13),
        (("a", "h"), 15),
        (("a", "h", "i", "date"), 16),
        (("list",), 17),
        (("list", 0, "n"), 18),
        (("list", 0, "sub", "m"), 20),
        (("list", 1), 21),
        (("list", 1, "n"), 22),
        (("list", 1, "deep", 0), 23),
        (("list", 1, "deep", 1), 24),
        (("list", 1, "deep", 1, "ab"), 25),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_key_is_found_on_its_line(path: KeyPath, line: int, newline: str) -> None:
    assert line_of(DOCUMENT.replace("\n", newline), path) == line


def test_a_key_that_is_not_there_is_at_its_nearest_ancestor() -> None:
    assert line_of(DOCUMENT, ("list", 1, "missing", "key")) == 21
    assert line_of(DOCUMENT, ("missing",)) == 1


@pytest.mark.parametrize("text", ["a = ", "[a", "= 1", "a = [1", "a = {b = 1", 'a = "', "a = [1 2]", "\0"])
def test_what_is_not_toml_ends_the_search_without_an_error(text: str) -> None:
    assert key_lines(f"first = 1\n{text}")["first",] == 1
