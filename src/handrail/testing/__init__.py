"""The fakes that ship with the product: for Handrail's own tests, and for those of a project's tasks.

Names are imported when first used, so that a test pays only for what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handrail.testing.fake_runner import FakeRunner
    from handrail.testing.printer import RecordingPrinter

__all__ = ["FakeRunner", "RecordingPrinter"]

_HOMES = {"FakeRunner": "fake_runner", "RecordingPrinter": "printer"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
