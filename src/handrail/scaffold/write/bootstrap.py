"""scripts/bootstrap: the same file that this repository uses."""

from __future__ import annotations

from pathlib import Path

FILE = "scripts/bootstrap"


def bootstrap_text() -> str:
    """Return the script."""
    return (Path(__file__).parent / "templates" / "bootstrap").read_text("utf-8")
