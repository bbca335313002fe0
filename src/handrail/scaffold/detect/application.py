"""Application objects and factories of Flask, FastAPI and Starlette, found in the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

from handrail.scaffold.detect.sources import Sources, dotted
from handrail.scaffold.facts import Entry, Framework, Package

_CLASSES: dict[str, Framework] = {"Flask": "flask", "FastAPI": "fastapi", "Starlette": "starlette"}
_NAMES = ("application", "app", "api", "server")
_FILES = ("wsgi", "asgi", "main", "app", "application", "server", "core", "api", "web", "__init__")
_FACTORIES = ("create_app", "make_app", "get_app", "build_app", "app_factory", "create_application")


def find_entries(sources: Sources, package: Package) -> list[tuple[Entry, Framework]]:
    """Return every application object and factory with its framework, the likeliest first."""
    found = []
    for file in sources.program:
        tree = sources.tree(file)
        if tree is None:
            continue
        for name, framework, is_factory in _in_module(tree):
            found.append((Entry(module_name(sources, file, package), name, is_factory, file), framework))
    found.sort(key=_rank)
    return [*_server_modules(sources, package, found), *found] if found else []


def _server_modules(
    sources: Sources, package: Package, found: list[tuple[Entry, Framework]]
) -> list[tuple[Entry, Framework]]:
    """Return ``wsgi.py`` and ``asgi.py`` that take the application from elsewhere: they were written for a server."""
    known = {entry.target for entry, _ in found}
    more = []
    for file in sources.program:
        if PurePosixPath(file).stem not in ("wsgi", "asgi"):
            continue
        tree = sources.tree(file)
        offered = _offered(tree) if tree else set()
        for name in _NAMES:
            entry = Entry(module_name(sources, file, package), name, file=file)
            if name in offered and entry.target not in known:
                more.append((entry, found[0][1]))
                break
    return more


def _offered(tree: ast.Module) -> set[str]:
    """Return the names that a module assigns or imports at its top."""
    names = {target for node in tree.body if (target := _assigned(node)[0])}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def module_name(sources: Sources, file: str, package: Package) -> str:
    """Return the name under which a file is imported: packages reach up as far as there is an ``__init__.py``."""
    path = PurePosixPath(file)
    parts = [] if path.name == "__init__.py" else [path.stem]
    folder = path.parent
    inside = PurePosixPath(package.source) if package.source else None
    while folder != PurePosixPath(".") and folder != inside:
        is_package = (sources.root / folder / "__init__.py").is_file()
        # Below src/ a folder without it is a namespace package.
        if not is_package and not (inside and folder.is_relative_to(inside)):
            break
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


def _in_module(tree: ast.Module) -> Iterator[tuple[str, Framework, bool]]:
    """Yield name, framework and whether it is a factory, of what a module offers."""
    known = _imported(tree)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    factories = {node.name: framework for node in functions if (framework := _made_by(node, known))}
    for node in tree.body:
        target, value = _assigned(node)
        if not target or not isinstance(value, ast.Call):
            continue
        called = dotted(value.func)
        framework = known.get(called) or factories.get(called)
        if framework:
            yield target, framework, False
    for name, framework in factories.items():
        if name in _FACTORIES:
            yield name, framework, True


def _imported(tree: ast.Module) -> dict[str, Framework]:
    """Return the names under which the module knows the frameworks' classes."""
    known: dict[str, Framework] = {}
    modules = set(_CLASSES.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] in modules:
            for alias in node.names:
                if alias.name in _CLASSES:
                    known[alias.asname or alias.name] = _CLASSES[alias.name]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                for name, framework in _CLASSES.items():
                    if framework == alias.name:
                        known[f"{alias.asname or alias.name}.{name}"] = framework
    return known


def _assigned(node: ast.stmt) -> tuple[str, ast.expr | None]:
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, node.value
    return "", None


def _made_by(node: ast.FunctionDef, known: dict[str, Framework]) -> Framework | None:
    """Return the framework of a function that makes an application and can be called without arguments."""
    needed = len(node.args.posonlyargs) + len(node.args.args) - len(node.args.defaults)
    if needed > 0 or any(default is None for default in node.args.kw_defaults):
        return None
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and dotted(inner.func) in known:
            return known[dotted(inner.func)]
    return None


def _rank(found: tuple[Entry, Framework]) -> tuple[int, bool, int, int, str]:
    entry, _ = found
    stem = PurePosixPath(entry.file).stem
    return (
        _FILES.index(stem) if stem in _FILES else len(_FILES),
        entry.is_factory,
        entry.file.count("/"),
        _NAMES.index(entry.attribute) if entry.attribute in _NAMES else len(_NAMES),
        entry.target,
    )
