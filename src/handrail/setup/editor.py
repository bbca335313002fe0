"""VS Code settings, merged into what is there: a setting that somebody chose stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from handrail.writing import write_whole

FILE = ".vscode/settings.json"

SETTINGS: dict[str, Any] = {
    "python.defaultInterpreterPath": "${workspaceFolder}/.venv/bin/python",
    "python.testing.pytestEnabled": True,
    "python.testing.unittestEnabled": False,
    "[python]": {
        "editor.defaultFormatter": "charliermarsh.ruff",
        "editor.formatOnSave": True,
        "editor.codeActionsOnSave": {"source.organizeImports": "explicit"},
    },
    "ruff.importStrategy": "fromEnvironment",
    "mypy-type-checker.importStrategy": "fromEnvironment",
    "files.exclude": {"**/__pycache__": True, ".nox": True},
}


def write_editor_settings(root: Path) -> str:
    """Add what is missing to ``.vscode/settings.json``; return what to say about it.

    A file that is not plain JSON (comments, trailing commas) is left alone: writing it again would lose those.
    """
    path = root / FILE
    old: Any = {}
    if path.is_file():
        try:
            old = json.loads(path.read_text("utf-8"))
        except ValueError:
            old = None
        if not isinstance(old, dict):
            return f"left alone: {FILE} is not plain JSON; add by hand: {', '.join(SETTINGS)}"
    new = merged(old, SETTINGS)
    if new == old:
        return f"{FILE} has them"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(new, indent=4, ensure_ascii=False) + "\n").encode("utf-8"))
    return f"{FILE} written"


def merged(old: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Return ``old`` with what it lacks of ``ours``, tables in tables too; the order of ``old`` stays."""
    result = dict(old)
    for name, value in ours.items():
        if name not in result:
            result[name] = value
        elif isinstance(result[name], dict) and isinstance(value, dict):
            result[name] = merged(result[name], value)
    return result
