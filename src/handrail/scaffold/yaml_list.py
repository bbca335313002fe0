"""Adding one item to a list at the top of a YAML file, as text: every byte of the file stays.

The file is parsed (ruamel.yaml) only to find out where the list ends and how far its items are indented.
"""

from __future__ import annotations

import re
import textwrap

from handrail.scaffold.blocks import marked


def added_item(text: str, key: str, item: str) -> str | None:
    """Return ``text`` with ``item`` at the end of the list ``key``, in a block of Handrail's.

    Args:
        item: the item's lines, indented by two.

    Returns:
        None where the file is something else than a mapping with such a list: it has to be done by hand.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML().load(text)
    except YAMLError:
        return None
    if document is None and not text.strip():
        return f"{key}:\n{marked(item, '  ')}"
    if not isinstance(document, dict) or not isinstance(document.get(key), list):
        return None
    items = document[key]
    if not items:
        empty = re.compile(rf"^{key}:[ \t]*\[[ \t]*\][ \t]*$", re.MULTILINE)
        return empty.sub(lambda _: f"{key}:\n{marked(item, '  ')}".rstrip("\n"), text) if empty.search(text) else None
    if items.fa.flow_style():
        return None
    indent = " " * (items.lc.item(0)[1] - 2)
    lines = text.splitlines(keepends=True)
    end = _end(document, key, lines)
    block = marked(textwrap.indent(textwrap.dedent(item), indent), indent)
    if end and not lines[end - 1].endswith("\n"):
        lines[end - 1] += "\n"
    return "".join([*lines[:end], block, *lines[end:]])


def _end(document: object, key: str, lines: list[str]) -> int:
    """Return the number of lines up to the end of the list: where the next key begins, less the comments above it."""
    positions = document.lc  # type: ignore[attr-defined]
    own = positions.key(key)[0]
    later = [line for other in document if (line := positions.key(other)[0]) > own]  # type: ignore[attr-defined]
    end = min(later, default=len(lines))
    while end > own + 1 and (not lines[end - 1].strip() or (later and re.match(r"#|---|\.\.\.", lines[end - 1]))):
        end -= 1
    return end
