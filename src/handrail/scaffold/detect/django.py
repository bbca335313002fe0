"""A Django site: the WSGI or ASGI module, the settings that it names, and manage.py where there is one.

A manage.py below ``tests/`` or ``example/`` belongs to a library that is tried out there, and makes no site.
"""

from __future__ import annotations

import ast
from pathlib import PurePosixPath

from handrail.scaffold.detect.application import module_name
from handrail.scaffold.detect.sources import Sources, dotted, literal
from handrail.scaffold.facts import Entry, Guess, Package, Web

_SETTINGS = "DJANGO_SETTINGS_MODULE"
_MAKERS = {"get_wsgi_application": False, "get_asgi_application": True}


def find_django(sources: Sources, package: Package) -> tuple[Web | None, list[Guess]]:
    """Return the site; None where nothing is there that a server could run."""
    manages = [
        name
        for name in sources.files
        if PurePosixPath(name).name == "manage.py"
        and not sources.is_folder_beside(str(PurePosixPath(name).parent))
        and _SETTINGS in sources.text(name)
    ]
    manage = manages[0] if manages else ""
    folder = str(PurePosixPath(manage).parent) if "/" in manage else ""
    found = _entry(sources, folder, package)
    if found is None:
        return None, []
    entry, is_async, named = found
    guesses = []
    if len(manages) > 1:
        guesses.append(Guess("Django site", manage, f"there is also {', '.join(manages[1:4])}"))
    declared = (_settings(sources.tree(manage)) if manage else "") or named
    settings = _existing(sources, declared, folder, package)
    if settings != declared:
        guesses.append(Guess("Django settings", settings, f"{declared or 'nothing'} is named, and is not here"))
    web = Web(
        "django",
        entry,
        is_async=is_async,
        folder=folder,
        manage=manage,
        settings=settings,
        is_settings_default=settings == declared,
        database=_sqlite(sources, folder, settings, package),
    )
    return web, guesses


def _entry(sources: Sources, folder: str, package: Package) -> tuple[Entry, bool, str] | None:
    """Return the application of wsgi.py, else of asgi.py, whether it is the latter, and the settings it names."""
    prefix = f"{folder}/" if folder else ""
    for maker, is_async in _MAKERS.items():
        for file in sources.program:
            tree = sources.tree(file) if file.startswith(prefix) and maker in sources.text(file) else None
            for node in tree.body if tree else ():
                if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
                    continue
                if any(dotted(inner.func).endswith(maker) for inner in ast.walk(node) if isinstance(inner, ast.Call)):
                    # Imported from manage.py's folder, whatever packages lie above it.
                    inside = ".".join(PurePosixPath(file.removeprefix(prefix)).with_suffix("").parts)
                    module = inside if folder else module_name(sources, file, package)
                    return Entry(module, node.targets[0].id, file=file), is_async, _settings(tree)
    return None


def _settings(tree: ast.Module | None) -> str:
    """Return the settings module that a file falls back to."""
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Call) and dotted(node.func).endswith("environ.setdefault") and len(node.args) == 2:
            name, value = (literal(argument) for argument in node.args)
            if name == _SETTINGS and isinstance(value, str):
                return value
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            value = literal(node.value)
            if literal(node.targets[0].slice) == _SETTINGS and isinstance(value, str):
                return value
    return ""


def _existing(sources: Sources, declared: str, folder: str, package: Package) -> str:
    """Return the declared settings module where it is here, else the likeliest one that is a whole."""
    if declared and _files(sources, declared, folder, package):
        return declared
    whole = [file for file in sources.program if "ROOT_URLCONF" in sources.text(file) and _is_whole(sources, file)]
    # `settings/production.py` builds on others; the one that everything builds on runs anywhere.
    whole.sort(key=lambda file: (PurePosixPath(file).stem not in ("settings", "__init__", "base"), file))
    return module_name(sources, whole[0], package) if whole else declared


def _is_whole(sources: Sources, file: str) -> bool:
    tree = sources.tree(file)
    assigned = [node.targets[0] for node in (tree.body if tree else ()) if isinstance(node, ast.Assign)]
    return any(isinstance(target, ast.Name) and target.id == "ROOT_URLCONF" for target in assigned)


def _files(sources: Sources, settings: str, folder: str, package: Package) -> list[str]:
    """Return the files of the settings module, and of its package where it is one of several."""
    known = set(sources.files)
    for start in dict.fromkeys((folder, package.source, "")):
        own = "/".join(filter(None, (start, settings.replace(".", "/"))))
        if found := [name for name in (f"{own}.py", f"{own}/__init__.py") if name in known]:
            above = own.rpartition("/")[0]
            beside = f"{above}/" if above.endswith("settings") else f"{own}/"
            return [*found, *(name for name in sources.files if name.startswith(beside))]
    return []


def _sqlite(sources: Sources, folder: str, settings: str, package: Package) -> str:
    """Return the SQLite file that the settings put beside the code; empty where there is none."""
    prefix = f"{folder}/" if folder else ""
    for file in dict.fromkeys(_files(sources, settings, folder, package)):
        tree = sources.tree(file)
        for node in ast.walk(tree) if tree else ():
            if not isinstance(node, ast.Dict):
                continue
            pairs = {literal(key): value for key, value in zip(node.keys, node.values, strict=True) if key is not None}
            if not str(literal(pairs.get("ENGINE"))).endswith("sqlite3") or "NAME" not in pairs:
                continue
            for part in ast.walk(pairs["NAME"]):
                words = _path_words(part)
                if words and words[-1].endswith((".sqlite3", ".sqlite", ".db")) and not words[0].startswith("/"):
                    return prefix + "/".join(words)
    return ""


def _path_words(node: ast.AST) -> list[str]:
    """Return the literal parts of ``BASE_DIR / "db" / "x.db"`` or ``os.path.join(BASE_DIR, "x.db")``, in order."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return _path_words(node.left) + _path_words(node.right)
    if isinstance(node, ast.Call) and dotted(node.func).endswith("join"):
        return [word for argument in node.args for word in _path_words(argument)]
    return []
