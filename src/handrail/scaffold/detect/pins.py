"""Versions of the checking tools that the project has settled on: a newer one would judge its code anew."""

from __future__ import annotations

import re

from handrail.scaffold.detect.sources import Sources

# The hooks' repositories call their tags as the tool's versions.
_REPOSITORIES = {"mypy": r"mirrors-mypy", "ruff": r"ruff-pre-commit"}


def find_pins(sources: Sources) -> dict[str, str]:
    """Return the exact version by tool, from requirements files and from the pre-commit configuration."""
    root = sources.root
    files = sorted([*root.glob("*.txt"), *root.glob("requirements/*.txt")])
    texts = [sources.text(path.relative_to(root).as_posix()) for path in files]
    hooks = sources.text(".pre-commit-config.yaml")
    found = {}
    for tool, repository in _REPOSITORIES.items():
        pinned = (re.search(rf"(?m)^{tool}==([\w.]+)", text) for text in texts)
        match = next(filter(None, pinned), None) or re.search(rf"{repository}['\"]?\s+rev:\s*['\"]?v?([\d.]+)", hooks)
        if match:
            found[tool] = match[1]
    return found
