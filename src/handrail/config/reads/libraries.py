"""The libraries that read the environment through an object, each with its own calls and words for types."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from handrail.config.reads import literals

ENVIRONS = "environs"
DJANGO_ENVIRON = "django-environ"
DECOUPLE = "decouple"
STARLETTE = "starlette"

CLASSES = {
    "environs.Env": ENVIRONS,
    "environs.FileAwareEnv": ENVIRONS,
    "environ.Env": DJANGO_ENVIRON,
    "environ.FileAwareEnv": DJANGO_ENVIRON,
    "decouple.Config": DECOUPLE,
    "decouple.AutoConfig": DECOUPLE,
    "starlette.config.Config": STARLETTE,
}
OBJECTS = {"environs.env": ENVIRONS, "decouple.config": DECOUPLE}

_TYPES = {"int": "int", "bool": "bool", "url": "url", "path": "path", "str": "string"}
# django-environ reads these variables where no name is given; environs has the same methods with a name.
_URLS = {
    "db": "DATABASE_URL",
    "db_url": "DATABASE_URL",
    "cache": "CACHE_URL",
    "cache_url": "CACHE_URL",
    "email": "EMAIL_URL",
    "email_url": "EMAIL_URL",
    "search_url": "SEARCH_URL",
    "channels": "CHANNELS_URL",
    "channels_url": "CHANNELS_URL",
    "dj_db_url": "DATABASE_URL",
    "dj_email_url": "EMAIL_URL",
    "dj_cache_url": "CACHE_URL",
}
_READING = {
    *_URLS, "bool", "bytes", "date", "datetime", "db", "decimal", "dict", "enum", "float", "get_value", "int", "json",
    "list", "log_level", "path", "str", "time", "timedelta", "tuple", "unicode", "url", "uuid",
}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One call that reads: the expression of the name, and what the call says of it."""

    name: ast.expr
    type: str
    default: ast.expr | None


def understand(node: ast.Call, library: str, method: str, scheme: Mapping[str, tuple[str, str | None]]) -> Call | None:
    """Return what a call of a library's object reads, or None where it reads nothing.

    Args:
        method: the name after the dot; empty where the object itself is called.
        scheme: types and defaults by name, from ``environ.Env(DEBUG=(bool, False))``.
    """
    if library in (DECOUPLE, STARLETTE):
        return _cast(node, library) if method in ("", "get") else None
    if method and method not in _READING:
        return None
    names = ("var", "name", "key")
    name = next((found for word in names if (found := literals.argument(node, 0, word))), None)
    if name is None:
        if library != DJANGO_ENVIRON or method not in _URLS:
            return None
        name = ast.copy_location(ast.Constant(_URLS[method]), node)
    # Positional: environs' second argument is the default; django-environ's is too for its typed methods, and the
    # cast where the object itself is called.
    default = next((word.value for word in node.keywords if word.arg == "default"), None)
    cast = next((word.value for word in node.keywords if word.arg in ("cast", "subcast") and not method), None)
    if default is None and len(node.args) > 1:
        if library == DJANGO_ENVIRON and not method:
            cast = cast or node.args[1]
        else:
            default = node.args[1]
    type_ = "url" if method in _URLS else _TYPES.get(method or getattr(cast, "id", ""), "")
    if planned := scheme.get(literals.text(name) or ""):
        type_ = type_ or planned[0]
        if planned[1] is not None and default is None:
            default = ast.copy_location(ast.Constant(planned[1]), node)
    return Call(name, type_, default)


def _cast(node: ast.Call, library: str) -> Call | None:
    name = literals.argument(node, 0, "option" if library == DECOUPLE else "key")
    if name is None:
        return None
    # decouple: (option, default, cast); Starlette: (key, cast, default).
    places = {"default": 1, "cast": 2} if library == DECOUPLE else {"cast": 1, "default": 2}
    default = literals.argument(node, places["default"], "default")
    cast = literals.argument(node, places["cast"], "cast")
    type_ = _TYPES.get(getattr(cast, "id", ""), "")
    if isinstance(cast, ast.Name) and cast.id == "URL":
        type_ = "url"
    return Call(name, type_, default)


def scheme_of(node: ast.Call) -> dict[str, tuple[str, str | None]]:
    """Return type and default by name of each keyword of ``environ.Env(DEBUG=(bool, False), PORT=int)``."""
    found = {}
    for word in node.keywords:
        if word.arg is None or not word.arg.isupper():
            continue
        parts = word.value.elts if isinstance(word.value, ast.Tuple) else [word.value]
        type_ = _TYPES.get(getattr(parts[0], "id", ""), "")
        found[word.arg] = (type_, literals.default_text(parts[1]) if len(parts) > 1 else None)
    return found
