"""Where a project's dependencies are locked, as one `Requirements`.

The first that there is: the declared requirements file; uv.lock; a plain tree's requirements.txt; the
dependencies in pyproject.toml. What is not locked yet is resolved once by ``uv pip compile`` and kept by content,
Python and platform, so that repeated builds are stable and need no index; only a committed lock is the same on
every machine.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.build.cache import LockCache, cache_key, file_parts
from handrail.build.git import EARLIEST, find_repository
from handrail.build.package import read_pyproject, uv_table
from handrail.build.platforms import WheelTarget
from handrail.build.requirements import Requirements, parse_requirements
from handrail.build.tools import clean_environment, find_uv, tool_environment
from handrail.config.explain import shown
from handrail.errors import ConfigError, TaskFailedError, did_you_mean

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project
    from handrail.ui import Printer

_UV_GLIBC = {17, 28, *range(31, 41)}
_PIN = re.compile(r"^[A-Za-z0-9._-]+(\[[^]]*\])?\s*===?\s*[^*,]+(;.*)?$")


def find_lock(
    project: Project, root: Path, kind: str, target: WheelTarget, run: Runner, printer: Printer
) -> Requirements:
    """Return what a project's release installs beside the project itself; empty where it needs nothing.

    Raises:
        ConfigError: the declared file is missing or says something that cannot be built from.
        TaskFailedError: uv could not export or resolve.
    """
    declared = project.build.requirements
    if declared:
        if not (root / declared).is_file():
            near = did_you_mean(declared, [path.name for path in root.glob("*.txt")])
            raise ConfigError(f"build.requirements names {declared!r}, which does not exist{near}")
        return _from_file(root, root / declared, target, run, printer)
    if lock := _uv_lock(root):
        return _from_uv_lock(root, lock, run)
    if kind == "tree" and (root / "requirements.txt").is_file():
        return _from_file(root, root / "requirements.txt", target, run, printer)
    if _has_dependencies(root, kind):
        printer.warn(
            "pyproject.toml's dependencies are not locked: they were resolved for this machine only; "
            "run `uv lock` and commit uv.lock"
        )
        return _compile(root, root / "pyproject.toml", ("setup.cfg", "setup.py"), (), target, run)
    return Requirements()


def _uv_lock(root: Path) -> Path | None:
    """Return the project's uv.lock: its own, or that of the uv workspace it is in."""
    if (root / "uv.lock").is_file():
        return root / "uv.lock"
    top = find_repository(root) or root
    for folder in root.resolve().parents:
        if not folder.is_relative_to(top):
            return None
        if (folder / "uv.lock").is_file() and _is_workspace(folder):
            return folder / "uv.lock"
    return None


def _is_workspace(folder: Path) -> bool:
    return "workspace" in uv_table(read_pyproject(folder))


def _from_uv_lock(root: Path, lock: Path, run: Runner) -> Requirements:
    options = _declared_indexes(lock.parent)
    # What is exported follows from these files, and uv has found them to agree when it was kept.
    key = cache_key("uv.lock", *file_parts([lock, lock.parent / "pyproject.toml", root / "pyproject.toml"]))
    cache = LockCache(root)
    text = cache.find(key)
    if text is None:
        words = ["--no-default-groups", "--no-emit-project", "--no-editable", "--no-header", "--no-annotate"]
        argv = [find_uv(), "export", "--quiet", "--locked", *words, "--format", "requirements-txt"]
        try:
            text = run.run(argv, cwd=root, env=clean_environment()).stdout
        except TaskFailedError as error:
            error.next_step = "uv lock"
            raise
        lock_text = parse_requirements(text, lock.parent, "uv.lock")
        if not lock_text.local:
            cache.store(key, text)
    requirements = parse_requirements(text, lock.parent, "uv.lock")
    if requirements.loose:
        raise ConfigError(f"uv.lock has no hash for {requirements.loose[0].split()[0]!r}", next_step="uv lock")
    return Requirements(options, requirements.locked, requirements.local)


def _declared_indexes(folder: Path) -> tuple[str, ...]:
    """Return the indexes of ``[[tool.uv.index]]`` as options for pip.

    Their credentials stay variables (``${UV_INDEX_NAME_PASSWORD}``), which pip fills in when it reads the file.
    """
    import os

    indexes = uv_table(read_pyproject(folder)).get("index", [])
    if not isinstance(indexes, list) or not all(isinstance(index, dict) for index in indexes):
        raise ConfigError(f"pyproject.toml: tool.uv.index is {shown(indexes)}, expected tables: [[tool.uv.index]]")
    options = []
    for index in indexes:
        url, name = str(index.get("url", "")), re.sub(r"[^A-Z0-9]", "_", str(index.get("name", "")).upper())
        user, password = f"UV_INDEX_{name}_USERNAME", f"UV_INDEX_{name}_PASSWORD"
        if name and os.environ.get(password) and "@" not in url:
            scheme, _, rest = url.partition("://")
            login = f"${{{user}}}:${{{password}}}" if os.environ.get(user) else f"${{{password}}}"
            url = f"{scheme}://{login}@{rest}"
        if index.get("format") == "flat":
            options.append(f"--find-links {url}")
        elif url:
            options.append(f"{'--index-url' if index.get('default') else '--extra-index-url'} {url}")
    return tuple(options)


def _from_file(root: Path, path: Path, target: WheelTarget, run: Runner, printer: Printer) -> Requirements:
    name = path.relative_to(root).as_posix()
    requirements = parse_requirements(_read(path), path.parent, name)
    if requirements.is_locked:
        return requirements
    nested = _all_nested(requirements, {path.resolve()})
    if any(not _PIN.match(line) for line in requirements.loose):
        printer.warn(
            f"{name} does not pin every version: it was resolved for this machine only; "
            f"`uv pip compile {name} --generate-hashes -o requirements.lock` makes a file to commit"
        )
    return _compile(root, path, (), nested, target, run, requirements.options)


def _all_nested(requirements: Requirements, seen: set[Path]) -> list[Path]:
    found = []
    for path in requirements.nested:
        if path.resolve() in seen or not path.is_file():
            continue
        seen.add(path.resolve())
        found.append(path)
        found += _all_nested(parse_requirements(_read(path), path.parent, path.name), seen)
    return found


def _compile(
    root: Path,
    path: Path,
    beside: tuple[str, ...],
    nested: tuple[Path, ...] | list[Path],
    target: WheelTarget,
    run: Runner,
    options: tuple[str, ...] = (),
) -> Requirements:
    inputs = [path, *nested, *(root / name for name in beside)]
    key = cache_key("compile", path.name, target.python, target.platform, *file_parts(inputs))
    cache = LockCache(root)
    text = cache.find(key)
    if text is None:
        argv = [find_uv(), "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"]
        argv += ["--python-version", target.python, *_platform_words(target), path.name]
        environment = tool_environment(EARLIEST)
        try:
            text = run.run(argv, cwd=path.parent, env=environment).stdout
        except TaskFailedError as error:
            error.next_step = f"uv pip compile {path.name}"
            raise
    requirements = parse_requirements(text, path.parent, path.name)
    if requirements.loose:
        name = requirements.loose[0].split()[0]
        raise ConfigError(f"{path.name}: no hash is known for {name!r}, so it cannot be locked")
    if not requirements.local:
        cache.store(key, text)
    return Requirements((*options, *requirements.options), requirements.locked, requirements.local)


def _platform_words(target: WheelTarget) -> list[str]:
    """Return uv's words for the platform; only its markers and whether there is a wheel depend on it."""
    if target.native:
        return []
    family, _, rest = target.platform.partition("_")
    if family == "macosx":
        arch = rest.split("_", 2)[2]
        return ["--python-platform", f"{'aarch64' if arch == 'arm64' else arch}-apple-darwin"]
    if family == "manylinux2014":
        return ["--python-platform", f"{rest}-manylinux2014"]
    _, minor, arch = rest.split("_", 2)
    if family == "musllinux":
        return ["--python-platform", f"{arch}-unknown-linux-musl"]
    known = [glibc for glibc in _UV_GLIBC if glibc <= int(minor)]
    return ["--python-platform", f"{arch}-manylinux_2_{max(known)}" if known else f"{arch}-manylinux2014"]


def _has_dependencies(root: Path, kind: str) -> bool:
    document = read_pyproject(root)
    declared = document.get("project")
    if not isinstance(declared, dict):
        # setup.py, setup.cfg or a tool's own table: only its build backend knows.
        return kind == "wheel"
    dynamic = declared.get("dynamic")
    is_computed = kind == "wheel" and isinstance(dynamic, list) and "dependencies" in dynamic
    return is_computed or bool(declared.get("dependencies"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name} is not UTF-8 text") from None
