"""Classes of pydantic-settings: each field is a variable.

The name is the field's in capitals after ``env_prefix``, or an alias. A field that is itself a model of the same
module is also read piece by piece where ``env_nested_delimiter`` is set.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from handrail.config.reads import literals
from handrail.config.reads.model import Read

if TYPE_CHECKING:
    from handrail.config.reads.module import Kind, Module

_BASES = ("pydantic_settings.BaseSettings", "pydantic.BaseSettings", "pydantic.v1.BaseSettings")
_TYPES = {"int": "int", "bool": "bool", "Path": "path", "FilePath": "path", "DirectoryPath": "path", "str": "string"}
_TYPES |= {"EmailStr": "email", "PositiveInt": "int", "NonNegativeInt": "int", "SecretStr": "string"}
_SECRET = ("SecretStr", "SecretBytes", "Secret")


def kind_of(node: ast.ClassDef, module: Module) -> Kind | None:
    """Return the kind of a class that derives from ``BaseSettings``, with its prefix; None for any other."""
    from handrail.config.reads.module import SETTINGS, Kind

    for base in node.bases:
        name = base.value if isinstance(base, ast.Subscript) else base
        known = module.kind(name)
        if module.dotted(name) in _BASES or (known and known.library == SETTINGS):
            prefix = _option(node, "env_prefix")
            return Kind(SETTINGS, prefix if prefix is not None else known.prefix if known else "", reader=SETTINGS)
    return None


def fields(node: ast.ClassDef, kind: Kind, module: Module) -> Iterator[Read]:
    """Yield one read for each field, several where it has several aliases."""
    keeps_case = _option(node, "case_sensitive") == "true"
    delimiter = _option(node, "env_nested_delimiter") or ""
    models = {each.name: each for each in ast.walk(module.source.tree) if isinstance(each, ast.ClassDef)}
    yield from _fields(node, kind.prefix, delimiter, models, module, keeps_case=keeps_case, depth=0)


def _fields(
    node: ast.ClassDef,
    prefix: str,
    delimiter: str,
    models: dict[str, ast.ClassDef],
    module: Module,
    *,
    keeps_case: bool,
    depth: int,
) -> Iterator[Read]:
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        name, annotation = statement.target.id, statement.annotation
        words = {each.id for each in ast.walk(annotation) if isinstance(each, ast.Name)}
        words |= {each.attr for each in ast.walk(annotation) if isinstance(each, ast.Attribute)}
        if name.startswith("_") or name == "model_config" or "ClassVar" in words:
            continue
        default, aliases = _declared(statement.value)
        own = f"{prefix}{name}"
        names = aliases or [own if keeps_case else own.upper()]
        nested = next((models[word] for word in words if word in models), None)
        if nested is not None and delimiter and depth < 3:
            yield from _fields(
                nested, f"{own}{delimiter}", delimiter, models, module, keeps_case=keeps_case, depth=depth + 1
            )
            continue
        type_, choices = _type(annotation, words)
        for each in names:
            yield Read(
                name=each,
                file=module.file,
                line=statement.lineno,
                reader="pydantic-settings",
                type=type_,
                choices=choices,
                required=statement.value is None or default is Ellipsis,
                default=literals.default_text(default) if isinstance(default, ast.AST) else None,
                is_secret=any(word in words for word in _SECRET),
            )


def _declared(value: ast.expr | None) -> tuple[object, list[str]]:
    """Return (default, aliases) of ``= value`` or ``= Field(...)``; Ellipsis stands for "required"."""
    if isinstance(value, ast.Constant) and value.value is Ellipsis:
        return Ellipsis, []
    called = getattr(value, "func", None)
    if not isinstance(value, ast.Call) or getattr(called, "id", getattr(called, "attr", "")) != "Field":
        return value, []
    words = {word.arg: word.value for word in value.keywords}
    default: object = value.args[0] if value.args else words.get("default", words.get("default_factory", Ellipsis))
    if isinstance(default, ast.Constant) and default.value is Ellipsis:
        default = Ellipsis
    aliases: list[str] = []
    # The alias that is for reading wins over the general one; ``env`` is the word of pydantic 1.
    for key in ("validation_alias", "alias", "env"):
        given = words.get(key)
        if given is None:
            continue
        found = [each.value for each in ast.walk(given) if isinstance(each, ast.Constant)]
        aliases = [each for each in found if isinstance(each, str)]
        break
    return default, aliases


def _type(annotation: ast.expr, words: set[str]) -> tuple[str, tuple[str, ...]]:
    for each in ast.walk(annotation):
        if isinstance(each, ast.Subscript) and getattr(each.value, "id", getattr(each.value, "attr", "")) == "Literal":
            items = each.slice.elts if isinstance(each.slice, ast.Tuple) else [each.slice]
            choices = [item.value for item in items if isinstance(item, ast.Constant)]
            if choices and all(isinstance(choice, str) for choice in choices):
                return "choice", tuple(str(choice) for choice in choices)
    known = words - {"Optional", "Annotated", "None", "Field"}
    if any(word.endswith(("Url", "Dsn")) for word in known):
        return "url", ()
    if len(known) == 1:
        return _TYPES.get(next(iter(known)), ""), ()
    return "", ()


def _option(node: ast.ClassDef, name: str) -> str | None:
    """Return a setting of ``model_config`` or of the inner class ``Config``, as text."""
    for statement in node.body:
        if isinstance(statement, ast.ClassDef) and statement.name == "Config":
            for inner in statement.body:
                if (value := _given(inner, name)) is not None:
                    return literals.default_text(value)
        value = _given(statement, "model_config")
        if isinstance(value, ast.Call):
            given = next((word.value for word in value.keywords if word.arg == name), None)
        elif isinstance(value, ast.Dict):
            pairs = zip(value.keys, value.values, strict=True)
            given = next((item for key, item in pairs if literals.text(key) == name), None)
        else:
            given = None
        if given is not None:
            return literals.default_text(given)
    return next((literals.default_text(word.value) for word in node.keywords if word.arg == name), None)


def _given(statement: ast.stmt, name: str) -> ast.expr | None:
    """Return what a statement assigns to ``name``; None where it does not."""
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return None
    goals = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return statement.value if any(getattr(goal, "id", "") == name for goal in goals) else None
