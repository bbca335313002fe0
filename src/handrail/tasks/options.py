"""From a task function's parameters to command-line options.

Invoke knows a type only from a default value, so `timeout: float | None = None` would receive text, and a value
that does not convert is a traceback. Here the annotation decides, and a bad value is one line and exit code 2.
All tasks' options are built at each start, so this reads the code object and the annotation's text; `inspect`
and `typing.get_type_hints` would be felt in `inv --list`.

Understood: ``str``, ``int``, ``float``, ``bool``, ``Path``, ``Literal["a", "b"]``, ``list[...]`` of those (the
option may be repeated), and each of them with ``| None`` or in ``Optional[...]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from invoke.exceptions import Exit
from invoke.parser.argument import Argument

from handrail.errors import did_you_mean

# Invoke would take whichever letters are free, so that a new option could change the meaning of an old
# letter. Only these have one, in every task.
SHORT_NAMES = {"env": "e", "yes": "y"}

_EXPECTED = {int: "a whole number", float: "a number"}
_PLAIN: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "Path": Path}


class Kind:
    """What one option accepts.

    Args:
        type_: ``str``, ``int``, ``float``, ``bool`` or ``Path``.
        choices: the allowed words; empty: any.
        many: whether the option may be repeated and gives a list.
    """

    __slots__ = ("choices", "many", "type")

    def __init__(self, type_: type = str, choices: tuple[str, ...] = (), *, many: bool = False) -> None:
        self.type = type_
        self.choices = choices
        self.many = many

    def convert(self, text: str) -> Any:
        """Return ``text`` as a value.

        Raises:
            ValueError: it is none; the message says what was expected.
        """
        if self.choices:
            if text not in self.choices:
                raise ValueError(did_you_mean(text, self.choices))
            return text
        try:
            value = self.type(text)
        except ValueError:
            value = math.nan
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f", expected {_EXPECTED[self.type]}")
        return value


class Option(Argument):
    """An Invoke argument that converts by `Kind` and ends the program with one line on a bad value.

    ``required`` marks a parameter without default, ``task`` is the name that a bad value's message begins with.
    """

    def __init__(
        self, task: str, parameter: str, kind: Kind, default: Any, *, required: bool, positional: bool, help_text: str
    ) -> None:
        name = parameter.strip("_").replace("_", "-")
        short = SHORT_NAMES.get(name)
        super().__init__(
            names=(name, short) if short else (name,),
            # Invoke's own help shows only these; Option.set_value does the conversion.
            kind=list if kind.many else kind.type if kind.type in (bool, int) else str,
            default=list(default or ()) if kind.many and not required else default,
            help=help_text,
            positional=positional,
            attr_name=parameter if parameter != name else None,
        )
        self.task = task
        self.accepts = kind
        self.required = required
        # Invoke starts lists with [], which hides both the default and a missing value.
        self.raw_value = self._value = None

    def __deepcopy__(self, memo: object) -> Option:
        # The parser copies every option of every task for each command line; the generic way costs a
        # hundred times as much as this. No value is ever changed in place, see set_value.
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        return copy

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take ``value`` from the command line; see `invoke.parser.Argument.set_value`."""
        if cast and isinstance(value, str):
            try:
                value = self.accepts.convert(value)
            except ValueError as error:
                name = f"<{self.names[0]}>" if self.positional else f"--{self.names[0]}"
                raise Exit(f"error: {self.task}: {name} is {value!r}{error}", code=2) from None
        self.raw_value = value
        self._value = [*(self._value or ()), value] if self.accepts.many else value


def options_of(
    task: str, body: Callable[..., Any], help_texts: Mapping[str, str], positional: Iterable[str] = ()
) -> list[Option]:
    """Return the options of ``body``, in the order of its parameters without the first (the context).

    Raises:
        ValueError: ``help_texts`` names a parameter that does not exist, or one has an unknown annotation.
    """
    code = body.__code__
    positional = list(positional)
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    defaults: dict[str, Any] = dict(body.__kwdefaults__ or {})
    values = body.__defaults__ or ()
    defaults.update(zip(code.co_varnames[code.co_argcount - len(values) : code.co_argcount], values, strict=True))
    left = {name.replace("-", "_"): text for name, text in help_texts.items()}
    options = [
        Option(
            task,
            name,
            _kind(body.__annotations__.get(name), defaults.get(name), f"{task}: {name}"),
            defaults.get(name),
            required=name not in defaults,
            positional=name in positional,
            help_text=left.pop(name, ""),
        )
        for name in names
    ]
    if left:
        raise ValueError(f"{task}: help for {', '.join(left)}, which is no option{did_you_mean(min(left), names)}")
    # The parser fills positional values in the order of the options.
    return sorted(options, key=lambda option: positional.index(str(option.name)) if option.positional else 99)


def _kind(annotation: Any, default: Any, where: str) -> Kind:
    """Return the kind that ``annotation`` (a type, or its text) declares; without one, that of ``default``."""
    if annotation is None:
        return (
            Kind(many=True) if isinstance(default, (list, tuple)) else Kind(str if default is None else type(default))
        )
    text = annotation.__name__ if isinstance(annotation, type) and str(annotation).startswith("<") else str(annotation)
    if found := _PLAIN.get(text):
        return Kind(found)
    text = text.replace("typing.", "").replace("pathlib._local.", "").replace("pathlib.", "").removesuffix(" | None")
    if text.startswith("Optional["):
        text = text[len("Optional[") : -1]
    many = text.startswith(("list[", "Sequence["))
    if many:
        text = text[text.index("[") + 1 : -1]
    if text.startswith("Literal["):
        import ast

        return Kind(str, tuple(ast.literal_eval(f"({text[len('Literal[') : -1]},)")), many=many)
    if text not in _PLAIN:
        raise ValueError(f"{where} is annotated {annotation!r}, expected one of {', '.join(_PLAIN)}, Literal or list")
    return Kind(_PLAIN[text], many=many)
