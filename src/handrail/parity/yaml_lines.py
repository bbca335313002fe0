"""YAML with the line of every value, and with scalars as the text that stands there (``3.10`` is no number).

PyYAML's parser, without its constructors: a node knows its place, and nothing in a file can become an object.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handrail.config.load import read_text
from handrail.errors import ConfigError


class Item:
    """One YAML value: a mapping, a list or a scalar."""

    def __init__(self, node: Any) -> None:
        self._node = node

    @property
    def line(self) -> int:
        """Where it begins; for a text block (``|``) where the sign stands, its first line is the next one."""
        return int(self._node.start_mark.line) + 1

    @property
    def text(self) -> str:
        """The scalar as text; empty for anything else."""
        return str(self._node.value) if isinstance(self._node.value, str) else ""

    @property
    def is_block(self) -> bool:
        return getattr(self._node, "style", None) in ("|", ">")

    @property
    def is_number(self) -> bool:
        return str(getattr(self._node, "tag", "")).endswith((":int", ":float"))

    def items(self) -> Iterator[tuple[Item, Item]]:
        """Yield the pairs of a mapping; what ``<<`` merges comes last, and each mapping once."""
        yield from self._pairs(set())

    def _pairs(self, seen: set[int]) -> Iterator[tuple[Item, Item]]:
        from yaml.nodes import MappingNode

        # One that merges itself has no end.
        if not isinstance(self._node, MappingNode) or id(self._node) in seen:
            return
        seen.add(id(self._node))
        merged = []
        for key, value in self._node.value:
            if key.value == "<<":
                merged.append(Item(value))
            else:
                yield Item(key), Item(value)
        for item in merged:
            for each in [item, *item.list()]:
                yield from each._pairs(seen)

    def list(self) -> list[Item]:
        """Return the items of a list; none for anything else."""
        from yaml.nodes import SequenceNode

        return [Item(node) for node in self._node.value] if isinstance(self._node, SequenceNode) else []

    def get(self, *keys: str) -> Item | None:
        """Return the value below ``keys``, or None."""
        item: Item | None = self
        for wanted in keys:
            item = next((value for key, value in item.items() if key.text == wanted), None) if item else None
        return item

    def word(self, *keys: str) -> str:
        """Return the scalar below ``keys``, or ""."""
        found = self.get(*keys)
        return found.text if found else ""


def read_yaml(root: Path, name: str) -> Item | None:
    """Return the document in the file ``name`` below ``root``; None where it is empty.

    Raises:
        ConfigError: ``FILE:LINE: not valid YAML: …``, or the file cannot be read.
    """
    import yaml

    text = read_text(root, name)
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        node = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{name}:{line}: not valid YAML: {problem}") from None
    except RecursionError:
        raise ConfigError(f"{name}:1: not valid YAML: nested too deeply") from None
    return None if node is None else Item(node)
