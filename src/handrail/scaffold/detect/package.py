"""The package: its name, and where its modules are."""

from __future__ import annotations

import re
from pathlib import Path

from handrail.scaffold.detect.declared import Declared, lines, table
from handrail.scaffold.detect.sources import Sources
from handrail.scaffold.facts import Backend, Package

_NOT_THE_PROJECT = {"docs", "tests", "test", "examples", "scripts", "tools", "setup", "tasks", "noxfile", "conftest"}


def find_package(sources: Sources, declared: Declared) -> Package:
    """Return name and layout; the folder's name where nothing declares one."""
    name = declared.name or _as_name(sources.root.resolve().name)
    if inside := _packages(sources, "src"):
        return Package(name, "src", _main_first(name, inside), "src")
    if packages := _packages(sources, ""):
        return Package(name, "flat", _main_first(name, packages))
    modules = lines(declared.setup.get("py_modules")) or _modules(sources, name)
    if modules:
        return Package(name, "module", tuple(modules))
    return Package(name)


def find_backend(declared: Declared) -> Backend:
    """Return what can build the project: what pyproject.toml names, setup.py alone, or nothing."""
    if table(declared.pyproject, "build-system"):
        return "declared"
    return "setup.py" if declared.has_setup_py else "none"


def find_build_system(declared: Declared) -> str:
    """Return the build backend that ``[build-system]`` names; setuptools where the table names none (PEP 517)."""
    build = table(declared.pyproject, "build-system")
    return str(build.get("build-backend") or "setuptools") if build else ""


def app_name(name: str) -> str:
    """Return a project's name as one that hosts and units take: see ``[tool.handrail] app``."""
    text = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")
    text = re.sub(r"^[^a-z]+", "", text)
    return text[:63].rstrip("-_") or "app"


def _packages(sources: Sources, folder: str) -> list[str]:
    prefix = f"{folder}/" if folder else ""
    tops: dict[str, bool] = {}
    for file in sources.files:
        if not file.startswith(prefix) or sources.is_beside(file):
            continue
        top, _, rest = file.removeprefix(prefix).partition("/")
        # A namespace package has no __init__.py; a folder of loose scripts is no package.
        if rest and top.isidentifier() and top.lower() not in _NOT_THE_PROJECT:
            tops[top] = tops.get(top, False) or rest == "__init__.py"
    regular = [top for top, is_regular in tops.items() if is_regular]
    return regular or (list(tops) if folder else [])


def _modules(sources: Sources, name: str) -> list[str]:
    loose = [Path(file).stem for file in sources.program if "/" not in file]
    wanted = name.replace("-", "_").lower()
    return sorted((stem for stem in loose if stem not in _NOT_THE_PROJECT), key=lambda stem: stem.lower() != wanted)


def _main_first(name: str, packages: list[str]) -> tuple[str, ...]:
    wanted = name.replace("-", "_").replace(".", "_").lower()

    def rank(package: str) -> tuple[bool, bool, str]:
        return (package.lower() != wanted, package.lower() not in wanted, package)

    return tuple(sorted(packages, key=rank))


def _as_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "app"
