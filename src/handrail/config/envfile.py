"""One env file → its entries, each with its line, by the parser of python-dotenv.

python-dotenv skips what it cannot read and says so in a log; here every such line is a `ConfigError` with
file and line. A message never repeats what stands on the line: it may be part of a secret.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from handrail.config.load import read_text
from handrail.config.rules import VARIABLE_NAME
from handrail.errors import ConfigError

_SINGLE_QUOTED = re.compile(r"\s*(?:export[^\S\r\n]+)?(?:'[^']+'|[^=#\s]+)[^\S\r\n]*=[^\S\r\n]*'")
_NEWLINE = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class Entry:
    """``NAME=value`` as it stands in a file, before interpolation."""

    name: str
    text: str
    line: int
    last_line: int
    """Where a quoted value ends; the same as ``line`` for most."""
    literal: bool
    """Single quotes: ``${NAME}`` in it stays as it is, as in a shell."""


def read_entries(root: Path, name: str) -> list[Entry]:
    """Return the entries of the env file ``name`` below ``root`` in their order; none where there is no file.

    Raises:
        ConfigError: ``env/staging.env:7: …`` for a line that is not ``NAME=value``, a bad or repeated name,
            or text that is not UTF-8; without a line where the file cannot be read.
    """
    if not (root / name).exists():
        return []
    return parse_entries(read_text(root, name), name)


def parse_entries(text: str, name: str) -> list[Entry]:
    """Return the entries in ``text``; messages call the file ``name``. Raises like `read_entries`."""
    from dotenv.parser import parse_stream

    entries: dict[str, Entry] = {}
    # newline="" keeps a lone carriage return, which the parser counts as a line end, as it is.
    for binding in parse_stream(io.StringIO(text, newline="")):
        original = binding.original.string
        # A binding begins with the blank lines before it.
        line = binding.original.line + _lines_in(original[: len(original) - len(original.lstrip())])
        where = f"{name}:{line}"
        if binding.error:
            raise ConfigError(f"{where}: expected NAME=value{_quote_hint(original)}")
        if binding.key is None:
            continue
        if binding.value is None:
            raise ConfigError(f"{where}: expected NAME=value, found no '='")
        if not VARIABLE_NAME.fullmatch(binding.key):
            raise ConfigError(f"{where}: expected a name of letters, digits and _ before the '='")
        if "\0" in binding.value:
            raise ConfigError(f"{where}: the value of {binding.key} contains a NUL character")
        if binding.key in entries:
            raise ConfigError(
                f"{where}: {binding.key} is set a second time; the first is on line {entries[binding.key].line}"
            )
        entries[binding.key] = Entry(
            name=binding.key,
            text=binding.value,
            line=line,
            last_line=line + _lines_in(original.strip()),
            literal=bool(_SINGLE_QUOTED.match(original)),
        )
    return list(entries.values())


def interpolate(text: str, lookup: Callable[[str], str | None], fail: Callable[[str], ConfigError]) -> str:
    """Return ``text`` with each ``${NAME}`` replaced, and ``${NAME:-default}`` where NAME is not set.

    Args:
        text: a value of an env file or of pyproject.toml.
        lookup: returns the value of a name, or None where it is not set.
        fail: makes the error for a name that is not set from that name.
    """
    from dotenv.variables import Variable, parse_variables

    parts = []
    for atom in parse_variables(text):
        if not isinstance(atom, Variable):
            parts.append(atom.resolve({}))
            continue
        found = lookup(atom.name)
        if found is None:
            found = atom.default
        if found is None:
            raise fail(atom.name)
        parts.append(found)
    return "".join(parts)


def split_lines(text: str) -> list[str]:
    """Return the lines of ``text`` as the parser counts them (`str.splitlines` also splits at form feeds)."""
    return _NEWLINE.split(text)


def _lines_in(text: str) -> int:
    return len(_NEWLINE.findall(text))


def _quote_hint(original: str) -> str:
    value = original.partition("=")[2].strip()
    if value[:1] in ("'", '"') and value:
        return f"; the quote {value[0]} is not closed, or text follows it"
    return ""
