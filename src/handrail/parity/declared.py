"""pyproject.toml, as far as it says on which Pythons and with which versions something runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handrail.config.load import FILE, parse_pyproject, read_text
from handrail.config.locate import key_lines, line_in
from handrail.parity.workflows import Text

_NONE = Text("", 0)
_CLASSIFIER = re.compile(r"Programming Language :: Python :: (3\.\d+)")


@dataclass(frozen=True)
class Declared:
    """Each value with its line in pyproject.toml; empty texts and lists where it is not there."""

    requires_python: Text = _NONE
    classifiers: tuple[Text, ...] = ()
    """The minor versions, such as ``3.12``."""
    matrix: tuple[Text, ...] = ()
    """``[tool.handrail.checks] pythons``, where it is written down."""
    requirements: tuple[Text, ...] = ()
    """Every dependency, of extras and groups too, as written."""
    extra_checks: dict[str, Text] = field(default_factory=dict)
    ruff_target: Text = _NONE
    mypy_python: Text = _NONE
    required_versions: dict[str, Text] = field(default_factory=dict)
    """What ``[tool.ruff]`` and ``[tool.uv]`` demand of the tool itself."""


def read_declared(root: Path) -> Declared:
    """Return it; nothing where there is no pyproject.toml.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    if not (root / FILE).is_file():
        return Declared()
    text = read_text(root, FILE)
    document = parse_pyproject(text)
    lines = key_lines(text)

    def one(*path: str) -> Text:
        value = _at(document, path)
        return Text(value, line_in(lines, path)) if isinstance(value, str) else _NONE

    def many(*path: str) -> list[Text]:
        values = _at(document, path)
        values = values if isinstance(values, list) else []
        return [Text(value, line_in(lines, (*path, n))) for n, value in enumerate(values) if isinstance(value, str)]

    found = [
        (match[1], each.line) for each in many("project", "classifiers") if (match := _CLASSIFIER.fullmatch(each.text))
    ]
    requirements = many("project", "dependencies")
    for table in (("project", "optional-dependencies"), ("dependency-groups",)):
        for name in _table(document, table):
            requirements += many(*table, name)
    extra = ("tool", "handrail", "checks", "extra")
    demanded = {tool: one("tool", tool, "required-version") for tool in ("ruff", "uv")}
    return Declared(
        requires_python=one("project", "requires-python"),
        classifiers=tuple(Text(version, line) for version, line in found),
        matrix=tuple(many("tool", "handrail", "checks", "pythons")),
        requirements=tuple(requirements),
        extra_checks={name: one(*extra, name) for name in _table(document, extra)},
        ruff_target=one("tool", "ruff", "target-version"),
        mypy_python=one("tool", "mypy", "python_version"),
        required_versions={tool: text for tool, text in demanded.items() if text.text},
    )


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _table(document: Any, path: tuple[str, ...]) -> dict[str, Any]:
    found = _at(document, path)
    return found if isinstance(found, dict) else {}
