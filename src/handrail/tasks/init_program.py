"""The console script ``handrail``: the tasks that need no tasks.py, for ``uvx handrail init``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from handrail.tasks.program import HandrailProgram

if TYPE_CHECKING:
    from invoke.exceptions import ParseError


class InitProgram(HandrailProgram):
    """Handrail where there may be no tasks.py: one task, and a word for who looks for the others here."""

    def print_help(self) -> None:
        """Show what there is, without the options of Invoke, which matter to tasks of one's own alone."""
        self.list_flat()

    def _refused(self, error: ParseError) -> Exit:
        from handrail.tasks.catalog import collection

        word = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
        if word not in self.collection.task_names and word in collection().task_names:
            known = "handrail init makes a repository ready for it"
            return Exit(f"error: {word} is a task of adopted repositories: inv {word}\nnext: {known}", code=2)
        return super()._refused(error)


def main() -> None:
    """Run ``handrail init``; with nothing to do, say what there is."""
    from invoke.collection import Collection

    from handrail import __version__
    from handrail.tasks.init import init

    tasks = Collection(init)
    InitProgram(version=__version__, namespace=tasks, name="Handrail", binary="handrail").run()
