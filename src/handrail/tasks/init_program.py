"""The console script ``handrail``: the tasks that need no tasks.py, for ``uvx handrail init``."""

from __future__ import annotations


def main() -> None:
    """Run ``handrail init``; with nothing to do, say what there is."""
    from invoke.collection import Collection

    from handrail import __version__
    from handrail.tasks.init import init
    from handrail.tasks.program import HandrailProgram

    tasks = Collection(init)
    HandrailProgram(version=__version__, namespace=tasks, name="Handrail", binary="handrail").run()
