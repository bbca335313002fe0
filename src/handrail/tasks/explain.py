"""A command line that Invoke cannot parse, explained with the nearest valid word.

Invoke has one exception for all of it, so its words are all there is to go by. What they are in the locked
version is tested; words unknown here are passed on as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.errors import HandrailError, did_you_mean

if TYPE_CHECKING:
    from invoke.exceptions import ParseError
    from invoke.parser.context import ParserContext

_UNKNOWN = re.compile(r"No idea what (?P<quote>['\"])(?P<word>.*)(?P=quote) is!", re.DOTALL)
_NO_WORD = re.compile(r"'(?P<task>.*)' did not receive required positional arguments: '(?P<name>[\w-]+)'.*", re.DOTALL)
_NO_VALUE = re.compile(r"Flag <\w+: (?P<name>[\w-]+).*> needed value and was not given one!", re.DOTALL)


def explain(error: ParseError, tasks: Mapping[str, ParserContext], core: ParserContext, folder: Path) -> str:
    """Return what is wrong, in one line, and where there is one the next step in a second.

    Args:
        error: what the parser raised; its context is the task that was being read.
        tasks: every task by the name that is typed.
        core: the options of `inv` itself.
        folder: one inside the project, to look for environments.
    """
    text = str(error)
    inside = error.context if error.context is not None and error.context.name else None
    if match := _UNKNOWN.fullmatch(text):
        if match["word"].startswith("-"):
            return _unknown_option(match["word"], inside, core)
        return _unknown_word(match["word"], inside, tasks, folder)
    if match := _NO_WORD.fullmatch(text):
        return _missing_word(match["task"], match["name"], tasks)
    if match := _NO_VALUE.fullmatch(text):
        return f"{f'{inside.name}: ' if inside else ''}--{match['name'].replace('_', '-')} needs a value"
    return text


def _unknown_option(word: str, inside: ParserContext | None, core: ParserContext) -> str:
    flags = [*core.flag_names(), *(inside.flag_names() if inside else ())]
    near = _nearest(word.partition("=")[0], (flag for flag in flags if flag.startswith("--")))
    if inside is None:
        return f"inv has no option {word}{near}"
    return f"{inside.name} has no option {word}{near}\nnext: inv --help {inside.name}"


def _unknown_word(word: str, inside: ParserContext | None, tasks: Mapping[str, ParserContext], folder: Path) -> str:
    near = _nearest(word, tasks)
    if not near and inside is not None and "--env" in inside.flags:
        from handrail.tasks.missing import known_environments

        try:
            if word in known_environments(folder):
                near = f"; did you mean '{inside.name} --env {word}'?"
        except HandrailError:
            pass  # the project file has a problem of its own, which the task will name
    return f"no task is called {word!r}{near}" if near else f"no task is called {word!r}\nnext: inv --list"


def _missing_word(task: str, name: str, tasks: Mapping[str, ParserContext]) -> str:
    flags = tasks[task].flags if task in tasks else {}
    accepts = getattr(flags.get(f"--{name}"), "accepts", None)
    choices = f": {', '.join(accepts.choices)}" if accepts is not None and accepts.choices else ""
    return f"{task} needs <{name}>{choices}\nnext: inv --help {task}"


def _nearest(word: str, known: Iterable[str]) -> str:
    """Return the nearest word, or nothing: the list of all tasks or options would not be read."""
    near = did_you_mean(word, known)
    return near if "did you mean" in near else ""
