"""``env/example.env``: which variables a project has, for people and for the validator alike.

The file is a working env file. Above each variable stands a comment: prose, then one line for the machine::

    # Address of the staging host.
    # type: host, needed by: deploy, secret: no
    STAGING_HOST=

What follows the ``=`` is the default; nothing after it means that there is none. ``needed by`` lists tasks,
or ``app`` for what the service itself reads, or ``nothing`` for an optional setting of the service.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.config.envfile import Entry, parse_entries, split_lines
from handrail.config.explain import shown
from handrail.config.load import read_text
from handrail.config.secret import Secret
from handrail.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from handrail.config.values import Value, Values

FILE = "env/example.env"
APP = "app"
_KEYS = ("type", "needed by", "secret")
_MACHINE_LINE = re.compile(r"(?:type|needed by|secret)\s*:")
_NEXT_KEY = re.compile(r",\s*(?=[A-Za-z][A-Za-z ]*:)")
_CHOICE = re.compile(r"choice\(([^()|,]+(?:\|[^()|,]+)*)\)")
_TASK = re.compile(r"[a-z][a-z0-9_.-]*")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")

TYPES: dict[str, tuple[str, Callable[[str], bool]]] = {
    "string": ("any text", lambda text: True),
    "int": ("a whole number", lambda text: bool(re.fullmatch(r"[+-]?[0-9]{1,300}", text))),
    "bool": (
        "true or false",
        lambda text: text.lower() in ("true", "false", "yes", "no", "on", "off", "1", "0"),
    ),
    "port": (
        "a port from 1 to 65535",
        lambda text: bool(re.fullmatch(r"[0-9]{1,5}", text)) and 1 <= int(text) <= 65535,
    ),
    "url": (
        "a URL such as https://example.org",
        lambda text: bool(re.fullmatch(r"[A-Za-z][\w+.-]*://\S+", text)),
    ),
    "host": ("a host name or address", lambda text: bool(_HOST.fullmatch(text))),
    "path": ("a path", lambda text: bool(text.strip()) and "\n" not in text),
    "email": (
        "an e-mail address",
        lambda text: bool(re.fullmatch(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+", text)),
    ),
}
"""Name of each type but ``choice(a|b)``: what it expects, and whether a text is that."""


@dataclass(frozen=True)
class Variable:
    """One declared variable; ``default`` is empty where there is none."""

    name: str
    line: int
    type: str = "string"
    choices: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = (APP,)
    """Task names and ``app``; empty for an optional variable."""
    secret: bool = False
    default: str = ""
    text: str = ""
    """The prose above it, as one paragraph."""

    @property
    def where(self) -> str:
        return f"{FILE}:{self.line}"

    @property
    def expected(self) -> str:
        return f"one of {', '.join(self.choices)}" if self.choices else TYPES[self.type][0]

    @property
    def is_shipped(self) -> bool:
        """Whether the service gets it: only what tasks alone need stays behind."""
        return APP in self.needed_by or not self.needed_by

    def accepts(self, text: str) -> bool:
        return text in self.choices if self.choices else TYPES[self.type][1](text)

    def is_needed_by(self, task: str) -> bool:
        # A deploy starts the service, so it needs what the service needs; a rehearsal runs its migration.
        return task in self.needed_by or (task in ("deploy", "db.plan") and APP in self.needed_by)


@dataclass(frozen=True)
class Contract:
    """What env/example.env declares, by name; empty where a project has no such file."""

    variables: Mapping[str, Variable] = field(default_factory=dict)

    def problems(self, values: Values, task: str) -> list[str]:
        """Return what ``task`` would miss or misread in ``values``, one sentence for each variable."""
        found = []
        for variable in self.variables.values():
            value = values.get(variable.name)
            if value is None or not value.text:
                if variable.is_needed_by(task):
                    found.append(_missing(variable, value))
            elif (variable.is_needed_by(task) or not variable.needed_by) and not variable.accepts(value.text):
                is_secret = isinstance(value.value, Secret)
                seen = "has a secret value that does not fit" if is_secret else f"is {shown(value.text)}"
                found.append(f"{variable.name} {seen}, expected {variable.expected} ({value.source})")
        return found

    def require(self, values: Values, task: str) -> None:
        """Check what ``task`` needs, before it does anything.

        Raises:
            ConfigError: one line that names all missing and mistyped variables and where each was looked for.
        """
        found = self.problems(values, task)
        if not found:
            return
        count = "1 variable" if len(found) == 1 else f"{len(found)} variables"
        raise ConfigError(
            f"{task} cannot use {count}: {'; '.join(found)}; looked in {', '.join(values.looked_in)}",
            next_step=f"set what is named above, then see inv env --env {values.environment}",
        )


def load_contract(root: Path) -> Contract:
    """Return what ``env/example.env`` below ``root`` declares; an empty contract where it does not exist.

    Raises:
        ConfigError: ``env/example.env:LINE: …`` for syntax, a variable without its machine line, an unknown
            type or key, a default that does not fit its type, or a secret with a default.
    """
    if not (root / FILE).exists():
        return Contract()
    return parse_contract(read_text(root, FILE))


def parse_contract(text: str) -> Contract:
    """Return the contract in ``text``. Raises like `load_contract`."""
    lines = split_lines(text.removeprefix("\ufeff"))
    variables = {}
    floor = 0
    for entry in parse_entries(text, FILE):
        variables[entry.name] = _variable(entry, _comment_above(lines, entry.line, floor))
        floor = entry.last_line
    return Contract(variables)


def _comment_above(lines: list[str], line: int, floor: int) -> list[tuple[int, str]]:
    """Return number and text of the comment lines directly above ``line``, not reaching up to ``floor``."""
    above: list[tuple[int, str]] = []
    number = line - 1
    while number > floor and lines[number - 1].lstrip().startswith("#"):
        above.insert(0, (number, lines[number - 1].strip().lstrip("#").strip()))
        number -= 1
    return above


def _variable(entry: Entry, comment: list[tuple[int, str]]) -> Variable:
    machine = [(number, text) for number, text in comment if _MACHINE_LINE.match(text)]
    if not machine:
        raise ConfigError(
            f"{FILE}:{entry.line}: {entry.name} has no line that says what it is directly above it",
            next_step="write above it, for example: # type: string, needed by: app, secret: no",
        )
    if len(machine) > 1:
        raise ConfigError(f"{FILE}:{machine[1][0]}: {entry.name} is described a second time; one line is enough")
    number, text = machine[0]
    where = f"{FILE}:{number}"
    said = _pairs(text, where)
    kind, choices = _type(said.get("type", "string"), where)
    variable = Variable(
        name=entry.name,
        line=entry.line,
        type=kind,
        choices=choices,
        needed_by=_needed_by(said.get("needed by", APP), where),
        secret=_yes_or_no(said.get("secret", "no"), where),
        default=entry.text,
        text=" ".join(line for number_, line in comment if number_ != number and line),
    )
    if variable.default and variable.secret:
        raise ConfigError(f"{variable.where}: {entry.name} is a secret, and a secret has no default; leave it empty")
    if variable.default and "${" not in variable.default and not variable.accepts(variable.default):
        raise ConfigError(
            f"{variable.where}: the default of {entry.name} is {shown(variable.default)}, expected {variable.expected}"
        )
    return variable


def _pairs(text: str, where: str) -> dict[str, str]:
    said: dict[str, str] = {}
    for part in _NEXT_KEY.split(text):
        key, _, value = part.partition(":")
        key = " ".join(key.split())
        if key not in _KEYS:
            raise ConfigError(f"{where}: unknown word {shown(key)}{did_you_mean(key, _KEYS)}")
        if key in said:
            raise ConfigError(f"{where}: '{key}:' stands twice on this line")
        said[key] = value.strip().rstrip(",").strip()
    return said


def _type(text: str, where: str) -> tuple[str, tuple[str, ...]]:
    if text in TYPES:
        return text, ()
    if match := _CHOICE.fullmatch(text):
        choices = tuple(choice.strip() for choice in match[1].split("|"))
        if all(choices):
            return "choice", choices
    raise ConfigError(f"{where}: unknown type {shown(text)}{did_you_mean(text, [*TYPES, 'choice(a|b)'])}")


def _needed_by(text: str, where: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    if names == ["nothing"]:
        return ()
    for name in names:
        if not _TASK.fullmatch(name) or name == "nothing":
            raise ConfigError(f"{where}: needed by {shown(name)}, expected names of tasks, 'app', or 'nothing' alone")
    return tuple(dict.fromkeys(names))


def _yes_or_no(text: str, where: str) -> bool:
    if text not in ("yes", "no"):
        raise ConfigError(f"{where}: secret is {shown(text)}, expected yes or no")
    return text == "yes"


def _missing(variable: Variable, value: Value | None) -> str:
    state = "is missing" if value is None else f"is empty in {value.source}"
    return f"{variable.name} {state}, expected {variable.expected} ({variable.where})"
