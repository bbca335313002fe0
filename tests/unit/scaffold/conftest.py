from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Repository = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Make a folder ``shop`` with these files, by path; its ``.git`` is empty."""

    def make(files: Mapping[str, str]) -> Path:
        root = tmp_path / "shop"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        (root / ".git").mkdir(parents=True, exist_ok=True)
        return root

    return make
