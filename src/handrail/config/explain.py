"""What msgspec found wrong, as a sentence about the key that the user wrote.

msgspec says ``Expected `int`, got `str` - at `$.environments[...].keep` ``: the path hides which environment
it was. The hidden key is found by decoding again with one candidate at a time, which leaves msgspec the only
judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from handrail.config.locate import KeyPath
from handrail.errors import did_you_mean

if TYPE_CHECKING:
    import msgspec

_AT = re.compile(r" - at `(\$[^`]*)`$")
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]|\[(\.\.\.)\]")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text in quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}


def explain(error: msgspec.ValidationError, data: object, schema: type) -> tuple[KeyPath, str]:
    """Return the path of the offending key below ``data``, and what is wrong with it in one sentence.

    Args:
        error: what ``msgspec.convert(data, schema)`` raised.
        data: the decoded TOML table.
        schema: the struct it was converted to.
    """
    path = _offending_path(str(error), data, schema)
    message = _AT.sub("", str(error))
    found = _value_at(data, path)
    kind = _type_at(schema, path)
    if message.startswith("Object contains unknown field"):
        known = [field.name for field in kind.fields]
        key = next(key for key in found if key not in known)
        return (*path, key), f"unknown key {shown(key)} in {table_name(path)}{did_you_mean(key, known)}"
    if match := re.match(r"Object missing required field `(\w+)`", message):
        return path, f"{table_name(path)} needs the key {match[1]!r}"
    name = key_name(path)
    if message.startswith("Invalid enum value"):
        # An empty one stands for "not declared", which nobody would write.
        known = [word for word in kind.values if word]
        return path, f"{name} is {shown(found)}, expected one of {', '.join(known)}{near(found, known)}"
    if match := re.match(r"Expected `([^`]*)`, got `([^`]*)`", message):
        wanted = _WORDS.get(match[1].removesuffix(" | null"), match[1])
        got = _WORDS.get(match[2], match[2])
        return path, f"{name} is {got}, expected {wanted}{_rewritten(found, match[1])}"
    return path, f"{name}: {message[:1].lower()}{message[1:]}"


def table_name(path: KeyPath) -> str:
    """Return the header under which the table at ``path`` is written."""
    return f"[{key_name(path)}]"


def key_name(path: KeyPath) -> str:
    """Return the dotted name of the key at ``path`` below ``[tool.handrail]``."""
    name = "tool.handrail"
    for step in path:
        if isinstance(step, int):
            name += f"[{step}]"
        else:
            name += f".{step}" if re.fullmatch(r"[A-Za-z0-9_-]+", step) else f".{shown(step)}"
    return name


def shown(value: object) -> str:
    """Return ``value`` as one short line."""
    if isinstance(value, int) and abs(value) >= 10**15:
        # Python refuses to print integers of more than 4,300 digits.
        return "a number of more than 15 digits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def near(found: object, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known word, or "", where the list of all would not be read."""
    hint = did_you_mean(str(found), known)
    return hint if "did you mean" in hint else ""


def _offending_path(message: str, data: object, schema: type) -> KeyPath:
    match = _AT.search(message)
    if match is None:
        return ()
    path: KeyPath = ()
    for key, index, hidden in _STEP.findall(match[1]):
        path = (*path, _hidden_key(message, data, schema, path) if hidden else key or int(index))
    return path


def _hidden_key(message: str, data: Any, schema: type, path: KeyPath) -> str:
    import msgspec

    table: dict[str, Any] = _value_at(data, path)
    for key in table:
        try:
            msgspec.convert(_replaced(data, path, {key: table[key]}), schema, strict=True)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return key
    return next(iter(table))


def _replaced(data: Any, path: KeyPath, new: object) -> Any:
    if not path:
        return new
    copy: Any = list(data) if isinstance(data, list) else dict(data)
    copy[path[0]] = _replaced(data[path[0]], path[1:], new)
    return copy


def _value_at(data: Any, path: KeyPath) -> Any:
    for step in path:
        data = data[step]
    return data


def _type_at(schema: type, path: KeyPath) -> Any:
    from msgspec import inspect

    kind: Any = inspect.type_info(schema)
    for step in (*path, None):
        if isinstance(kind, inspect.UnionType):
            kind = next(option for option in kind.types if not isinstance(option, inspect.NoneType))
        if step is None:
            break
        if isinstance(kind, inspect.StructType):
            kind = next(field.type for field in kind.fields if field.name == step)
        elif isinstance(kind, inspect.DictType):
            kind = kind.value_type
        elif isinstance(kind, inspect.ListType):
            kind = kind.item_type
    return kind


def _rewritten(found: object, wanted: str) -> str:
    """Return the value as it was probably meant, where that is plain to see."""
    if wanted == "array" and isinstance(found, str):
        return f"; did you mean [{_toml_text(found)}]?"
    if wanted == "str" and isinstance(found, (int, float)) and not isinstance(found, bool):
        return f'; did you mean "{found}"?' if abs(found) < 10**15 else ""
    if wanted == "bool" and found in ("true", "false"):
        return f"; did you mean {found}?"
    number = r"-?\d{1,12}" if wanted == "int" else r"-?\d{1,12}(\.\d{1,12})?"
    if wanted in ("int", "float") and isinstance(found, str) and re.fullmatch(number, found, re.ASCII):
        return f"; did you mean {found}?"
    return ""


def _toml_text(text: str) -> str:
    import json

    # A JSON string without control characters is a TOML basic string.
    return shown(text) if len(text) > 80 else json.dumps(text, ensure_ascii=False)
