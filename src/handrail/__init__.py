"""Handrail: Invoke tasks and Nox sessions from a fresh clone to a healthy, reversible deploy.

The public surface of a project's ``tasks.py``::

    import handrail

    namespace = handrail.collection()

and of its ``noxfile.py``: ``handrail.sessions.register()``. Importing this package imports nothing else.
"""

from __future__ import annotations

import atexit
import gc
import sys

# Type checkers take it for true. Importing typing for it would double the time of a press of Tab.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from invoke.collection import Collection

__all__ = ["__version__", "collection"]

# A literal: reading it from the installed metadata would cost every start some milliseconds. A test compares.
__version__ = "0.1.0"


def collection(own: Mapping[str, Any] | None = None) -> Collection:
    """Return all of Handrail's tasks as an Invoke collection.

    Args:
        own: the ``globals()`` of a tasks.py that defines tasks of its own. They are listed under
            "project", and win over Handrail's task of the same name. Call it after their definition.
    """
    # Invoke switches bytecode files off so that a tasks.py leaves no __pycache__ behind. For installed
    # packages that means compiling all of them at every start: uv does not compile what it installs.
    sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
    _collect_less_often()
    from handrail.tasks.catalog import collection

    return collection(own)


def _collect_less_often() -> None:
    """Spare a command most of the cyclic garbage collector: what it makes, it needs until it ends.

    By default the collector begins every 700 objects, while a start makes some hundred thousand, and at the end of the
    process it looks through all of them several times; both together take a tenth of a second of a rollback.
    """
    gc.set_threshold(10_000, 10, 10)
    atexit.register(gc.freeze)
