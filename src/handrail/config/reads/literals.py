"""Small questions about expressions: their literal text, and what becomes of the value that they give."""

from __future__ import annotations

import ast
from collections.abc import Mapping

_BOOL_WORDS = frozenset({"1", "0", "true", "false", "yes", "no", "on", "off", "t", "f", "y", "n"})
_SAME_TEXT = frozenset({"lower", "upper", "strip", "casefold", "rstrip", "lstrip", "title", "capitalize"})
_CAUGHT = frozenset({"KeyError", "LookupError", "Exception", "BaseException"})


def text(node: ast.AST | None) -> str | None:
    """Return a literal string, or None."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def default_text(node: ast.AST) -> str | None:
    """Return a literal default as an env file would have it, or None (also for the literal ``None``)."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            return "true" if node.value else "false"
        if isinstance(node.value, bytes):
            return node.value.decode("utf-8", "replace")
        return str(node.value) if isinstance(node.value, (str, int, float)) else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return f"-{node.operand.value!r}"
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [default_text(item) for item in node.elts]
        return ",".join(item or "" for item in items) if all(item is not None for item in items) else None
    return None


def argument(call: ast.Call, index: int, name: str) -> ast.expr | None:
    """Return an argument of a call by its place or its name."""
    if index < len(call.args) and not any(isinstance(each, ast.Starred) for each in call.args[: index + 1]):
        return call.args[index]
    return next((word.value for word in call.keywords if word.arg == name), None)


def beginning(node: ast.AST) -> str:
    """Return the literal text with which an expression begins."""
    if isinstance(node, ast.JoinedStr) and node.values:
        return text(node.values[0]) or ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)):
        start = text(node.left) or beginning(node.left)
        return start.partition("%")[0]
    return ""


def parameter_in(node: ast.AST) -> str | None:
    """Return the one name at the end of an expression: ``name``, ``f"SHOP_{name}"``, ``"SHOP_" + name``."""
    if isinstance(node, ast.JoinedStr) and len(node.values) in (1, 2):
        last = node.values[-1]
        return parameter_in(last.value) if isinstance(last, ast.FormattedValue) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and text(node.left) is not None:
        return parameter_in(node.right)
    return node.id if isinstance(node, ast.Name) else None


def is_caught(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> bool:
    """Whether a missing key is caught around ``node``, by something that does not raise again."""
    below = node
    while (above := parents.get(below)) is not None and not isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if isinstance(above, ast.Try) and below in above.body:
            for handler in above.handlers:
                if _catches_key_errors(handler.type) and not any(isinstance(n, ast.Raise) for n in ast.walk(handler)):
                    return not _exits(handler)
        if isinstance(above, ast.With):
            for item in above.items:
                call = item.context_expr
                if (
                    isinstance(call, ast.Call)
                    and getattr(call.func, "attr", getattr(call.func, "id", "")) == "suppress"
                ):
                    return True
        below = above
    return False


def _catches_key_errors(node: ast.AST | None) -> bool:
    if node is None:
        return True
    names = node.elts if isinstance(node, ast.Tuple) else [node]
    return any(isinstance(name, ast.Name) and name.id in _CAUGHT for name in names)


def _exits(handler: ast.ExceptHandler) -> bool:
    calls = (node.func for node in ast.walk(handler) if isinstance(node, ast.Call))
    return any(getattr(call, "attr", getattr(call, "id", "")) in ("exit", "_exit", "abort") for call in calls)


def use_of(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> tuple[str, tuple[str, ...], str | None]:
    """Return (type, choices, default) that the expressions around a read give it; ``or "x"`` is a default."""
    default = None
    while (above := parents.get(node)) is not None:
        if isinstance(above, ast.BoolOp) and isinstance(above.op, ast.Or) and above.values[0] is node:
            default = default if default is not None else default_text(above.values[-1])
        elif isinstance(above, ast.Attribute) and above.attr in _SAME_TEXT:
            node = above
            above = parents.get(node, above)
        elif isinstance(above, ast.Call):
            name = above.func.id if isinstance(above.func, ast.Name) else ""
            if node not in above.args or name not in ("int", "str", "bool", "float"):
                return "", (), default
            if name == "int":
                return "int", (), default
        elif isinstance(above, ast.Compare):
            words = _compared(above, node)
            # An empty word among others says "not set".
            is_bool = any(words) and all(word.lower() in _BOOL_WORDS for word in words if word)
            return "bool" if is_bool else "", (), default
        else:
            return "", (), default
        node = above
    return "", (), default


def _compared(compare: ast.Compare, node: ast.AST) -> list[str]:
    """Return the literal texts that ``node`` is held against; none where something else is among them."""
    words: list[str] = []
    for other in [compare.left, *compare.comparators]:
        if other is node:
            continue
        items = other.elts if isinstance(other, (ast.Tuple, ast.List, ast.Set)) else [other]
        for item in items:
            if (word := text(item)) is None:
                return []
            words.append(word)
    return words
