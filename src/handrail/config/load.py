"""pyproject.toml → `handrail.config.schema.Project`, or one line that says which line is wrong.

Three judges in a row: tomllib (is it TOML), msgspec (are keys and types right), `rules` (can the values be
meant). Whatever any of them finds becomes ``pyproject.toml:LINE: …``.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.config.locate import KeyPath, line_of
from handrail.errors import ConfigError, UsageError, did_you_mean

if TYPE_CHECKING:
    from handrail.config.schema import Environment, Project

FILE = "pyproject.toml"
TABLE: KeyPath = ("tool", "handrail")
_ADOPT = 'add a [tool.handrail] table with app = "<name>" to pyproject.toml (see docs/configuration.md)'


def find_root(start: Path) -> Path:
    """Return the nearest folder at or above ``start`` whose pyproject.toml has ``[tool.handrail]``.

    A pyproject.toml that mentions handrail but is not valid TOML counts, so that `load_project` reports it.

    Raises:
        ConfigError: there is none up to the file system's root.
    """
    folder = start.resolve()
    seen: Path | None = None
    for candidate in (folder, *folder.parents):
        file = candidate / FILE
        if not file.is_file():
            continue
        seen = seen or candidate
        # Most files on the way up do not mention us: they are not worth a parse.
        if b"handrail" not in _read_bytes(file):
            continue
        try:
            if _declared(parse_toml(read_text(candidate, FILE))) is not None:
                return candidate
        except ValueError:
            return candidate
    if seen is not None:
        raise ConfigError(f"{seen / FILE} has no [tool.handrail] table", next_step=_ADOPT)
    raise ConfigError(f"no pyproject.toml in {folder} or above it", next_step=f"go to your project, or {_ADOPT}")


def load_project(root: Path) -> Project:
    """Return what ``root / "pyproject.toml"`` declares.

    Raises:
        ConfigError: ``pyproject.toml:LINE: …`` for TOML syntax, an unknown key, a wrong type or a bad value;
            without a line where the file or the table is missing.
    """
    import msgspec

    from handrail.config import rules
    from handrail.config.explain import explain
    from handrail.config.schema import Project

    text = read_text(root, FILE)
    declared = _declared(parse_pyproject(text))
    if declared is None:
        raise ConfigError(f"{FILE} has no [tool.handrail] table", next_step=_ADOPT)

    def fail(path: KeyPath, message: str) -> ConfigError:
        return ConfigError(f"{FILE}:{line_of(text, TABLE + path)}: {message}")

    try:
        project = msgspec.convert(declared, Project, strict=True)
    except msgspec.ValidationError as error:
        raise fail(*explain(error, declared, Project)) from None
    for path, problem in rules.problems(project):
        raise fail(path, problem)
    return project


def environment(project: Project, name: str) -> Environment:
    """Return the environment called ``name``.

    Raises:
        UsageError: the project declares no such environment; names the nearest one.
    """
    if name in project.environments:
        return project.environments[name]
    raise UsageError(
        f"there is no environment {name!r}{did_you_mean(name, project.environments)}",
        next_step="" if project.environments else "declare one: [tool.handrail.environments.<name>] in pyproject.toml",
    )


def place(root: Path, *path: str | int) -> str:
    """Return ``pyproject.toml:LINE`` of a key below ``[tool.handrail]``, for a message about its value."""
    try:
        return f"{FILE}:{line_of(read_text(root, FILE), TABLE + path)}"
    except ConfigError:
        return FILE


def parse_toml(text: str) -> dict[str, Any]:
    """Return the decoded TOML document.

    Raises:
        ValueError: it is not TOML; the message ends in ``(at line N, column M)`` where that is known.
    """
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        document: dict[str, Any] = toml.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return document


def parse_pyproject(text: str) -> dict[str, Any]:
    """Return the decoded pyproject.toml.

    Raises:
        ConfigError: ``pyproject.toml:LINE: …`` where it is not TOML.
    """
    try:
        return parse_toml(text)
    except ValueError as error:
        raise ConfigError(_syntax_message(str(error), text)) from None


def read_text(root: Path, name: str) -> str:
    """Return the text of the file ``name`` below ``root``, with line ends as they are.

    Raises:
        ConfigError: it is missing, cannot be read or is not UTF-8 (names the line of the first bad byte).
    """
    raw = _read_bytes(root / name, name)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}:{line}: byte 0x{raw[error.start]:02x} is not UTF-8 text") from None


def _read_bytes(path: Path, name: str = "") -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{name or path} does not exist in {path.parent}") from None
    except OSError as error:
        raise ConfigError(f"{name or path} cannot be read: {error.strerror or error}") from None


def _declared(document: dict[str, Any]) -> Any:
    tool = document.get("tool")
    return tool.get("handrail") if isinstance(tool, dict) else None


def _syntax_message(problem: str, text: str) -> str:
    match = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", problem)
    if match is None:
        return f"{FILE}: not valid TOML: {problem}"
    line = int(match[1]) if match[1] else text.rstrip("\n").count("\n") + 1
    return f"{FILE}:{line}: not valid TOML: {problem[: match.start()]}"
