"""What Invoke's own program lacks: groups in the list, an example in the help, "did you mean".

The `inv` that a user starts belongs to Invoke: it has built its program object, `invoke.main.program`, before
it loads tasks.py, and no setting of a collection or of Invoke's configuration reaches its listing or its error
lines. `Program` is made to be subclassed, though, so while tasks.py is being loaded that one object is given our
subclass. It overrides six methods that Invoke documents or calls on ``self``; everything else stays Invoke's.

When something else runs the tasks (`fab`, a program of the project's own, Invoke with another shape
than the one known here) nothing is touched, and Invoke's plain list, help and error lines are shown.
"""

from __future__ import annotations

import sys
from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from handrail.errors import HandrailError, UsageError, did_you_mean
from handrail.tasks.base import HandrailTask
from handrail.tasks.rerun import as_typed, typed_program

_OVERRIDDEN = ("execute", "list_flat", "no_tasks_given", "parse_cleanup", "parse_tasks", "print_task_help")


def adopt_running_program() -> bool:
    """Give the running `inv` the class `HandrailProgram`; return whether it fitted."""
    program = getattr(sys.modules.get("invoke.main"), "program", None)
    if type(program) is not Program or program.namespace is not None:
        return False
    if not all(callable(getattr(Program, name, None)) for name in _OVERRIDDEN):
        return False
    program.__class__ = HandrailProgram
    return True


def loaded_collection() -> Collection | None:
    """Return the collection that the running `inv` has loaded, the project's own tasks included; None outside of it."""
    program = getattr(sys.modules.get("invoke.main"), "program", None)
    loaded = getattr(program, "collection", None)
    return loaded if isinstance(loaded, Collection) else None


def running_collection() -> Collection:
    """Return the collection that the running `inv` has loaded; else Handrail's."""
    loaded = loaded_collection()
    if loaded is not None:
        return loaded
    from handrail.tasks.catalog import collection

    return collection()


class _Takes:
    """Which bare words a task takes; the first three as `HandrailTask` has them.

    Attributes:
        choices: the words that ``word`` takes anywhere.
        valued: the flags that take the word after them.
    """

    # No dataclass: each start of `inv` would pay for making it.
    def __init__(self, task: object = None) -> None:
        self.word = self.words = self.pair = ""
        self.choices: tuple[str, ...] = ()
        self.valued: frozenset[str] = frozenset()
        if not isinstance(task, HandrailTask):
            return
        self.word, self.words, self.pair = task.word, task.words, task.pair
        options = task.options() if task.word or task.words else []
        self.choices = next((each.accepts.choices for each in options if each.names[0] == task.word), ())
        valued = (each for each in options if each.accepts.type is not bool)
        self.valued = frozenset(flag for each in valued for flag in (f"--{each.names[0]}", f"-{each.names[-1]}"))


class HandrailProgram(Program):
    """Invoke's program with our list, help and error lines."""

    def parse_tasks(self) -> None:
        """Parse the command line; what cannot be meant is one line with the nearest valid word, exit code 2."""
        self._take_help_for_help()
        self.core.unparsed = self._with_words(self.core.unparsed)
        try:
            super().parse_tasks()
        except ParseError as error:
            raise self._refused(error) from None
        except ValueError as error:
            # A plain Invoke task of the project: its int option got a word.
            raise Exit(f"error: {error}", code=2) from None

    def _take_help_for_help(self) -> None:
        """Understand ``TASK --help`` of a task that expects a word: Invoke would take ``--help`` for that word."""
        words = self.core.unparsed
        if len(words) > 1 and words[1] in ("-h", "--help") and words[0] in self.collection.task_names:
            self.args["help"].value = words[0]
            self.core.unparsed = []

    def parse_cleanup(self) -> None:
        """Serve ``--list`` and ``--help``, explained as in `parse_tasks`."""
        scope = self.args["list"].value
        if isinstance(scope, str) and "." not in scope and scope not in self.collection.collections:
            near = did_you_mean(scope, self.collection.collections)
            raise Exit(f"error: nothing to list is called {scope!r}{near}", code=2)
        try:
            super().parse_cleanup()
        except ParseError as error:
            raise self._refused(error) from None

    def execute(self) -> None:
        """Run the tasks, once all of them have what they need: a forgotten option costs no half of the work."""
        for context in self.tasks:
            task = self.collection[context.name]
            if isinstance(task, HandrailTask):
                try:
                    task.check(context.as_kwargs, self._folder())
                except HandrailError as error:
                    from handrail.tasks.guard import refused

                    raise refused(task, Context(self.config), context.as_kwargs, error) from None
        super().execute()

    def no_tasks_given(self) -> None:
        """Show the list: a bare `inv` asks what there is to type."""
        self.list_flat()
        raise Exit

    def list_flat(self) -> None:
        """Print the tasks under the headings of their groups."""
        if self.list_root or self.list_depth:
            super().list_flat()
            return
        from handrail.tasks.describe import grouped
        from handrail.ui.listing import task_list
        from handrail.ui.streams import has_colour, show, width_of

        groups = grouped(self.collection)
        bold = has_colour(sys.stdout)
        show(task_list(groups, width=width_of(sys.stdout), bold=bold, program=typed_program(sys.argv)))

    def print_task_help(self, name: str) -> None:
        """Print usage, documentation, options and the example of one task."""
        task = self.collection[name]
        if not isinstance(task, HandrailTask):
            super().print_task_help(name)
            return
        from handrail.tasks.describe import documentation, option_rows, usage
        from handrail.ui.listing import task_help
        from handrail.ui.streams import has_colour, show, width_of

        text = task_help(
            usage(name, task.options(), task.word, typed_program(sys.argv)),
            documentation(task),
            option_rows(task.options()),
            as_typed(task.example, sys.argv),
            width=width_of(sys.stdout),
            bold=has_colour(sys.stdout),
        )
        show(text)

    def _with_words(self, argv: list[str]) -> list[str]:
        """Give bare words to the option of their task that takes them: Invoke knows no ``*args``, no optional word."""
        result: list[str] = []
        takes = _Takes()
        word_option = ""  # the option that takes a bare word, until one has come
        is_next = False  # whether the task's name stands right before
        wanted = 0  # how many words of a pair are still to come
        for word in argv:
            is_bare, is_assignment = not word.startswith("-"), "=" in word
            if wanted and is_bare:
                wanted -= 1
                result += [word] if wanted else [f"--{takes.pair}", word]
                continue
            wanted = 2 if takes.pair and word == f"--{takes.pair}" else 0
            previous = result[-1] if result else ""
            is_behind_name, is_next = is_next, False
            is_value = previous in takes.valued
            is_chosen = (is_behind_name and is_bare and not is_assignment) or (word in takes.choices and not is_value)
            if word_option and is_chosen:
                result += [f"--{word_option}", word]
                word_option = ""
            elif takes.words and is_bare and is_assignment and not is_value:
                result += [f"--{takes.words}", word]
            else:
                # Behind an option it may be the option's value: an environment called "test" is no task.
                if word in self.collection.task_names and not (takes.words and previous.startswith("-")):
                    takes = _Takes(self.collection[word])
                    word_option, is_next = takes.word, True
                result.append(word)
        return result

    def _refused(self, error: ParseError) -> Exit:
        from handrail.tasks.explain import explain

        contexts = getattr(self, "parser", None)
        known = contexts.contexts if contexts is not None else {}
        text = explain(error, known, self.initial_context, self._folder())
        text = "\nnext: ".join(as_typed(part, sys.argv) for part in text.split("\nnext: "))
        if "--json" in sys.argv[1:]:
            # Whoever asked for a document gets one, also before there is a task that would print it.
            from handrail.ui.json_printer import JsonPrinter

            message, _, following = text.partition("\nnext: ")
            printer = JsonPrinter()
            printer.failure(UsageError(message, next_step=following), "inv", "", "")
            printer.close()
            return Exit(code=2)
        return Exit(f"error: {text}", code=2)

    def _folder(self) -> Path:
        return Path(self.collection.loaded_from or ".")
