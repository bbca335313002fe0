"""The line on which a TOML key stands.

tomllib gives values without positions, and an error without a line sends people searching. This scanner
walks a document that tomllib has already accepted, so it only has to recognise where keys, strings and
brackets begin and end; it never judges. It runs only where a line is asked for: for an error, or a finding of parity.
"""

from __future__ import annotations

import contextlib
import re
from bisect import bisect_right
from collections.abc import Mapping

KeyPath = tuple[str | int, ...]
"""Keys and list indexes from the document's root: ``("tool", "handrail", "smoke", 0, "path")``."""

_BLANK = re.compile(r"[ \t]*")
_FILLER = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def line_of(text: str, path: KeyPath) -> int:
    """Return the 1-based line of the key at ``path``, or of its nearest ancestor that is written down.

    Args:
        text: a TOML document that parses.
        path: keys and list indexes from the root.
    """
    return line_in(key_lines(text), path)


def line_in(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """Return what `line_of` does, from the lines that `key_lines` has found: for more than one question."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line of each key, table header and list item; the first where a table is opened twice."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    # A wrong line number must never hide the error that is being reported.
    with contextlib.suppress(_LostError, RecursionError):
        scanner.scan()
    return scanner.lines


class _LostError(Exception):
    """The text is not TOML, or TOML of a version this scanner does not know."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._last_index: dict[KeyPath, int] = {}

    def scan(self) -> None:
        prefix: KeyPath = ()
        self._skip(_FILLER)
        while self.at < len(self.text):
            if self._take("[["):
                prefix = self._header(self._keys(), is_list=True)
                self._expect("]]")
            elif self._take("["):
                prefix = self._header(self._keys(), is_list=False)
                self._expect("]")
            else:
                self._pair(prefix)
            self._skip(_FILLER)

    def _header(self, keys: list[str], *, is_list: bool) -> KeyPath:
        path: KeyPath = ()
        for number, key in enumerate(keys, 1):
            path = (*path, key)
            self._record(path)
            if number == len(keys) and is_list:
                self._last_index[path] = self._last_index.get(path, -1) + 1
            if path in self._last_index:
                path = (*path, self._last_index[path])
                self._record(path)
        return path

    def _pair(self, prefix: KeyPath) -> None:
        path = prefix
        for key in self._keys():
            path = (*path, key)
            self._record(path)
        self._expect("=")
        self._skip(_BLANK)
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_BLANK)
            if self.text[self.at : self.at + 1] in ("'", '"'):
                keys.append(_unquote(self._match(_STRING)))
            else:
                keys.append(self._match(_BARE_KEY))
            self._skip(_BLANK)
            if not self._take("."):
                return keys

    def _value(self, path: KeyPath) -> None:
        if self._take("["):
            index = 0
            self._skip(_FILLER)
            while not self._take("]"):
                self._record((*path, index))
                self._value((*path, index))
                index += 1
                self._separator()
        elif self._take("{"):
            self._skip(_FILLER)
            while not self._take("}"):
                self._pair(path)
                self._separator()
        elif self.text[self.at : self.at + 1] in ("'", '"'):
            self._match(_STRING)
        else:
            self._match(_SCALAR)

    def _separator(self) -> None:
        self._skip(_FILLER)
        if self._take(","):
            self._skip(_FILLER)
        elif self.text[self.at : self.at + 1] not in ("]", "}"):
            raise _LostError

    def _record(self, path: KeyPath) -> None:
        self.lines.setdefault(path, bisect_right(self._starts, self.at))

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise _LostError
        self.at = match.end()
        return match.group()

    def _take(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def _expect(self, token: str) -> None:
        self._skip(_BLANK)
        if not self._take(token):
            raise _LostError


def _unquote(literal: str) -> str:
    from handrail.config.load import parse_toml

    try:
        return str(parse_toml(f"key = {literal}")["key"])
    except ValueError:
        raise _LostError from None
