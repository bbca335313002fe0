"""A part of somebody's file that is Handrail's: what stands between two marks; the rest is never touched."""

from __future__ import annotations

import re
from dataclasses import dataclass

BEGIN = "# >>> handrail: `handrail init --update` writes what stands between these two lines"
END = "# <<< handrail"
_BLOCK = re.compile(
    r"^[ \t]*# >>> handrail\b[^\n]*\n(.*?)^[ \t]*# <<< handrail[^\n]*(?:\n|\Z)", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """Where a block is in a text, marks included, and what it holds."""

    start: int
    end: int
    inner: str


def find_block(text: str) -> Block | None:
    """Return the first block of ``text``."""
    match = _BLOCK.search(text)
    return Block(match.start(), match.end(), match[1]) if match else None


def marked(inner: str, indent: str = "") -> str:
    """Return ``inner``, whole lines, between its marks."""
    return f"{indent}{BEGIN}\n{inner}{indent}{END}\n"


def without_block(text: str) -> str:
    """Return what is the project's own."""
    block = find_block(text)
    return text[: block.start] + text[block.end :] if block else text


def replaced(text: str, inner: str) -> str:
    """Return ``text`` with another inside for its block; ValueError where it has none."""
    block = find_block(text)
    if block is None:
        raise ValueError("there is no block")
    mark = text[block.start :]
    indent = mark[: len(mark) - len(mark.lstrip(" \t"))]
    return text[: block.start] + marked(inner, indent) + text[block.end :]


def appended(text: str, inner: str) -> str:
    """Return ``text`` with a new block at its end."""
    gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
    return text + gap + marked(inner)
