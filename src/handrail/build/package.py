"""The project as a Python package: what pyproject.toml says of it, and its wheel and sdist made by ``uv build``.

The wheel is built from the sdist, not from the working tree, so that leftovers of earlier builds (setuptools'
``build/lib``) cannot get into it. Both are dated with the commit: the same source gives the same bytes.

An sdist is made to be handed on, and build backends decide on their own what goes in: hatchling heeds no
``.gitignore`` at all where one of its patterns meets the folder's own path (``build/`` and ``~/build/shop``). What
must stay on this machine is therefore looked for in the result.
"""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from handrail.build.bundle import Member
from handrail.build.cache import cache_folder, cache_key, digest_file, newest_first
from handrail.build.platforms import WheelTarget, running_python, target_tags, wheel_fits
from handrail.build.tools import find_uv, tool_environment
from handrail.errors import ConfigError, TaskFailedError

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project
    from handrail.ui import Printer

_KEPT = 5


@dataclass(frozen=True)
class Package:
    """The built distributions of one project."""

    wheel: Path
    sdist: Path
    version: str


def read_pyproject(root: Path) -> dict[str, Any]:
    """Return pyproject.toml as a dict; empty where there is none.

    Raises:
        ConfigError: it is not TOML.
    """
    from handrail.config.load import FILE, parse_toml, read_text

    if not (root / FILE).is_file():
        return {}
    try:
        return parse_toml(read_text(root, FILE))
    except ValueError as error:
        raise ConfigError(f"{FILE}: {error}") from None


def uv_table(document: dict[str, Any]) -> dict[str, Any]:
    """Return ``[tool.uv]`` of pyproject.toml's document; empty where there is none."""
    tool = document.get("tool")
    uv = tool.get("uv") if isinstance(tool, dict) else None
    return uv if isinstance(uv, dict) else {}


def has_build_system(root: Path) -> bool:
    """Return whether the project says how it is built."""
    return isinstance(read_pyproject(root).get("build-system"), dict)


def bundle_kind(project: Project, root: Path) -> str:
    """Return ``wheel`` or ``tree``.

    Raises:
        ConfigError: a wheel was asked for where nothing says how to build one.
    """
    buildable = has_build_system(root)
    if project.build.kind == "wheel" and not buildable:
        raise ConfigError(
            "build.kind is 'wheel', but pyproject.toml has no [build-system]",
            next_step='add one, such as requires = ["hatchling"], build-backend = "hatchling.build"',
        )
    if project.build.kind == "auto":
        return "wheel" if buildable else "tree"
    return project.build.kind


def project_version(root: Path, commit: str) -> str:
    """Return a tree's version: the declared one, else the start of its commit, else ``"0"``."""
    declared = read_pyproject(root).get("project")
    version = declared.get("version") if isinstance(declared, dict) else None
    if isinstance(version, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,127}", version):
        return version
    return commit[:12] or "0"


def check_python(root: Path, target: WheelTarget) -> None:
    """Refuse a target that the project itself rules out.

    Raises:
        ConfigError: ``requires-python`` does not hold for it, or is no version specifier.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    declared = read_pyproject(root).get("project")
    text = declared.get("requires-python") if isinstance(declared, dict) else None
    if not isinstance(text, str):
        return
    try:
        required = SpecifierSet(text)
    except InvalidSpecifier:
        raise ConfigError(f"pyproject.toml: requires-python is {text!r}, expected one such as '>=3.10'") from None
    if not any(required.contains(f"{target.python}.{patch}") for patch in (0, 99)):
        raise ConfigError(f"this project requires Python {text}, the bundle is asked for Python {target.python}")


def build_package(root: Path, *, python: str, epoch: int, run: Runner, printer: Printer) -> Package:
    """Build sdist and wheel of the project in ``root``.

    Args:
        python: minor version that a wheel with compiled parts is built for.
        epoch: seconds since 1970 that both are dated with.

    Raises:
        TaskFailedError: the build failed; or it made no wheel or more than one.
        ConfigError: the sdist has files that must stay on this machine.
    """
    from packaging.utils import parse_wheel_filename

    folder = cache_folder(root) / "built"
    folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder, prefix="tmp-"))
    try:
        argv = [find_uv(), "build", "--out-dir", str(work), "--no-create-gitignore", *python_words(python, run)]
        run.run([*argv, str(root)], cwd=root, env=tool_environment(epoch), stream=printer.detail)
        wheels, sdists = list(work.glob("*.whl")), list(work.glob("*.tar.gz"))
        if len(wheels) != 1 or len(sdists) != 1:
            raise TaskFailedError(
                f"`uv build` made {len(wheels)} wheels and {len(sdists)} sdists, expected one of each"
            )
        _refuse_private_files(sdists[0])
        place = folder / cache_key(*(part for file in (*wheels, *sdists) for part in (file.name, digest_file(file))))
        place.mkdir(exist_ok=True)
        place.touch()
        # File by file, each over one with the same bytes: another build may be reading them there.
        wheel, sdist = (file.replace(place / file.name) for file in (*wheels, *sdists))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _prune(folder)
    return Package(wheel, sdist, str(parse_wheel_filename(wheel.name)[1]))


def _refuse_private_files(sdist: Path) -> None:
    """Refuse an sdist with secrets, or with this machine's keys and caches, which would double the next one."""
    with tarfile.open(sdist) as archive:
        paths = (PurePosixPath(*PurePosixPath(name).parts[1:]) for name in archive.getnames())
        found = next((path for path in paths if _is_private(path)), None)
    if found:
        raise ConfigError(
            f"the sdist would carry {found}, which must stay on this machine",
            next_step="tell the build backend what belongs to it, such as [tool.hatch.build.targets.sdist]"
            ' only-include = ["src"]; and have .handrail/, .env and env/*.secrets.env in .gitignore',
        )


def _is_private(path: PurePosixPath) -> bool:
    return path.parts[:1] == (".handrail",) or path.parts == (".env",) or path.match("env/*.secrets.env")


def as_member(package: Package, target: WheelTarget) -> Member:
    """Return the project's wheel as a bundle member.

    Raises:
        ConfigError: it was built for another Python or platform than the hosts'.
    """
    name = package.wheel.name
    if not wheel_fits(name, target_tags(target)):
        raise ConfigError(
            f"the project's wheel {name} does not fit Python {target.python} on {target.platform}",
            next_step="build on a machine like the hosts, or correct build.python and build.platform",
        )
    return Member("wheel", name, digest_file(package.wheel), package.wheel.stat().st_size, 0o644, source=package.wheel)


def python_words(python: str, run: Runner) -> list[str]:
    """Return the words that tell uv which interpreter to build with."""

    from handrail.pythons import find_pythons

    if python == running_python():
        return ["--python", sys.executable]
    # uv gives up at the first shim of pyenv on PATH: name the interpreter where it is known.
    return ["--python", str(find_pythons([python], run).get(python, python))]


def _prune(folder: Path) -> None:
    builds = newest_first(place for place in folder.iterdir() if not place.name.startswith("tmp-"))
    for place in builds[_KEPT:]:
        shutil.rmtree(place, ignore_errors=True)
