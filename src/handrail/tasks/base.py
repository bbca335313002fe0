"""What every task shares: one decorator, one context, one place where failures become cards.

A task is a thin function: flags in, one call to a plain function of a noun, a result out::

    @task(group="check", example="inv lint --fix", help={"fix": "repair what can be repaired"})
    def lint(c: TaskContext, fix: bool = False) -> None:
        \"\"\"Check style and imports.\"\"\"
        run_lint(c.root, fix=fix, printer=c.printer)

Around it stand the options by annotation (`handrail.tasks.options`), the printer (``--json`` where the function
has a parameter ``json``), and the end: a `HandrailError` is shown as a card and leaves as its exit code, anything
unexpected as one line with its trace in a file. It leaves by `invoke.exceptions.Exit`, so that later
tasks of the same command line do not run. Importing this module costs nothing over Invoke's own import.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from handrail.tasks.options import Option, options_of

if TYPE_CHECKING:
    from handrail.ui import Printer

__all__ = ["HandrailTask", "TaskContext", "task"]


class TaskContext:
    """What a task function gets as its first argument.

    Attributes:
        printer: where every word goes.
        args: the words after ``--`` on the command line, quoting intact.
        invoke: Invoke's own context.
        json: whether the result is asked for as one JSON document.
    """

    def __init__(
        self,
        printer: Printer,
        root: Path | None = None,
        args: Sequence[str] = (),
        invoke: Context | None = None,
        json: bool = False,
    ) -> None:
        self.printer = printer
        self.args = list(args)
        self.invoke = invoke if invoke is not None else Context()
        self.json = json
        self._root = root

    @property
    def root(self) -> Path:
        """The project's folder: the nearest one with ``[tool.handrail]``, from the loaded tasks.py upwards.

        Raises:
            handrail.errors.ConfigError: there is none.
        """
        if self._root is None:
            from handrail.config.load import find_root

            self._root = find_root(start_folder(self.invoke))
        return self._root


class HandrailTask(Task):  # type: ignore[type-arg]  # Invoke's type parameter says nothing about a task
    """An Invoke task with a group, an example and clean failures.

    Attributes:
        group: the heading under which ``inv --list`` shows it.
        example: one command line that works.
        word: the option that takes a bare word right after the task's name, and one of its choices anywhere; empty:
            there is none.
        words: the list option that takes bare ``name=value`` words of the command line; empty: there are none.
        pair: the list option that takes two words at once (``--diff one other``); empty: there is none.
        path: the name as typed, such as ``sandbox.up``; the catalog sets it for a task in a sub-collection.
    """

    def __init__(
        self,
        body: Callable[..., Any],
        *,
        group: str = "",
        example: str = "",
        word: str = "",
        words: str = "",
        pair: str = "",
        **kw: Any,
    ) -> None:
        # Without a list Invoke makes every parameter without default positional; ours are options.
        kw["positional"] = tuple(kw.get("positional") or ())
        super().__init__(body, **kw)
        self.group = group
        self.example = example
        self.word = word
        self.words = words
        self.pair = pair
        self.path = self.name.replace("_", "-")
        if example:
            # Invoke's plain help shows the docstring, so the example is seen even where
            # handrail.tasks.program does not take over.
            self.__doc__ = f"{(self.__doc__ or '').rstrip()}\n\nExample:\n  {example}"

    def __deepcopy__(self, memo: object) -> HandrailTask:
        # Invoke copies a project's whole namespace at each start. Nothing in a task of ours changes later.
        return self

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Any]:
        """Return the options; see `invoke.tasks.Task.get_arguments`."""
        return list(self.options())

    def options(self) -> list[Option]:
        """Return the options that the function's parameters declare."""
        return options_of(self.path, self.body, self.help, self.positional)

    def check(self, values: Mapping[str, Any], folder: Path) -> None:
        """Look for what a command line left out; ``folder`` is inside the project.

        Raises:
            handrail.errors.UsageError: an option without default has no value.
        """
        for option in self.options():
            if option.required and values.get(str(option.name)) is None:
                from handrail.tasks.missing import missing_option

                raise missing_option(self.path, option, folder)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task: in a guard from Invoke, directly when another task of ours calls it."""
        first = args[0]
        if isinstance(first, TaskContext):
            return self.body(*args, **kwargs)
        from handrail.tasks.guard import guarded

        result = guarded(self, first, lambda c: self.body(c, *args[1:], **kwargs), kwargs)
        self.times_called += 1
        return result


def task(
    name: str | None = None,
    *,
    group: str,
    example: str,
    help: Mapping[str, str] | None = None,  # noqa: A002 - Invoke's word for it
    **kw: Any,
) -> Callable[[Callable[..., Any]], HandrailTask]:
    """Make a task of a function whose first parameter is a `TaskContext`.

    Args:
        name: as typed; without one the function's, ``_`` as ``-``.
        group: the heading in ``inv --list``.
        example: one command line that works, for ``inv --help``.
        help: what each option means, by parameter name.
        **kw: more keywords of `invoke.task` (``aliases``, ``default``, ``pre``, ``post``, ``positional``).
    """

    def decorate(body: Callable[..., Any]) -> HandrailTask:
        kw["auto_shortflags"] = False
        return HandrailTask(body, name=name, group=group, example=example, help=dict(help or {}), **kw)

    return decorate


def values_after_dashes(argv: Sequence[str]) -> list[str]:
    """Return what follows the first ``--`` of ``argv``. Invoke itself joins it to one text, quoting lost."""
    return list(argv[argv.index("--") + 1 :]) if "--" in argv else []


def start_folder(context: Context) -> Path:
    """Return the folder of the loaded tasks.py; without one, the current folder."""
    # Invoke has no public name for it; `inv --search-root` and subfolders make it differ from the current one.
    return Path(getattr(context.config, "_project_prefix", None) or Path.cwd())


def make_context(context: Context, *, as_json: bool) -> TaskContext:
    """Return the context for one run of a task."""
    import os

    from handrail.ui import make_printer

    verbose = bool(context.config.run.echo) or bool(os.environ.get("HANDRAIL_VERBOSE"))
    printer = make_printer(as_json=as_json, verbose=verbose)
    return TaskContext(printer, None, values_after_dashes(sys.argv), context, as_json)


__all__ += ["Exit", "make_context", "start_folder", "values_after_dashes"]
