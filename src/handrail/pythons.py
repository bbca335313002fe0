"""Finding interpreters: where they are installed, whatever PATH says.

pyenv's shims answer "command not found" for a version that is installed but not active, so a name on PATH
proves nothing: every candidate is asked for its version, and the first that answers is taken. Nothing is ever
downloaded here; `handrail.setup` does that when it is asked to.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handrail.commands import Runner

_ASK = "import platform, sys; print(platform.python_implementation(), '%d.%d' % sys.version_info[:2])"
_SYSTEM_FOLDERS = ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin", "/opt/local/bin")


def find_pythons(
    versions: Sequence[str], runner: Runner, environment: Mapping[str, str] | None = None
) -> dict[str, Path]:
    """Return the absolute path of an interpreter for each of ``versions`` that this machine has.

    Args:
        versions: minor versions such as ``"3.12"``.
        runner: asks each candidate for its version.
        environment: HOME, PATH and the variables of pyenv and uv; without it, this process's.
    """
    environment = os.environ if environment is None else environment
    found: dict[str, Path] = {}
    for version in versions:
        for candidate in candidates(version, environment):
            if _answers(candidate, version, runner):
                found[version] = candidate
                break
    return found


def candidates(version: str, environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield where an interpreter of ``version`` may be, best first; each exists and is yielded once."""
    seen: set[str] = set()
    for path in _places(version, environment):
        if str(path) not in seen and os.access(path, os.X_OK) and path.is_file():
            seen.add(str(path))
            yield path


def how_to_get(version: str) -> str:
    """Return what installs an interpreter of ``version``."""
    return f"inv setup --pythons, uv python install {version} or pyenv install {version}"


def add_to_path(pythons: Mapping[str, Path], path: str) -> str:
    """Return ``path`` with the interpreters' folders added at its end.

    At the end, because those folders also hold other programs, which must not hide the ones in use.
    """
    folders = [str(python.parent) for python in pythons.values()]
    known = path.split(os.pathsep)
    return os.pathsep.join([*known, *(folder for folder in dict.fromkeys(folders) if folder not in known)])


def _places(version: str, environment: Mapping[str, str]) -> Iterator[Path]:
    name = f"python{version}"
    home = environment.get("HOME", "")
    if f"{sys.version_info[0]}.{sys.version_info[1]}" == version:
        yield Path(sys.base_prefix) / "bin" / name
    pyenv = environment.get("PYENV_ROOT") or (f"{home}/.pyenv" if home else "")
    if pyenv:
        yield from _newest_first(f"{pyenv}/versions", f"{version}.*/bin/{name}")
    yield from _from_uv(version, name, home, environment)
    for cache in (environment.get("RUNNER_TOOL_CACHE"), environment.get("AGENT_TOOLSDIRECTORY")):
        if cache:
            yield from _newest_first(f"{cache}/Python", f"{version}.*/*/bin/{name}")
    for folder in (*environment.get("PATH", "").split(os.pathsep), *_SYSTEM_FOLDERS):
        if folder:
            yield Path(folder).absolute() / name
    yield Path(f"/Library/Frameworks/Python.framework/Versions/{version}/bin/{name}")


def _from_uv(version: str, name: str, home: str, environment: Mapping[str, str]) -> Iterator[Path]:
    data = environment.get("XDG_DATA_HOME") or (f"{home}/.local/share" if home else "")
    if folder := environment.get("UV_PYTHON_INSTALL_DIR"):
        yield from _newest_first(folder, f"cpython-{version}.*/bin/{name}")
        return
    if data:
        yield from _newest_first(f"{data}/uv/python", f"cpython-{version}.*/bin/{name}")
    if home:
        yield from _newest_first(f"{home}/Library/Application Support/uv/python", f"cpython-{version}.*/bin/{name}")


def _newest_first(folder: str, pattern: str) -> list[Path]:
    """Return what ``pattern`` matches below ``folder``, highest patch number first."""
    return sorted(Path(folder).glob(pattern), key=_numbers, reverse=True)


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]


def _answers(candidate: Path, version: str, runner: Runner) -> bool:
    from handrail.errors import HandrailError

    try:
        result = runner.run([str(candidate), "-I", "-c", _ASK], check=False, timeout=20)
    except HandrailError:
        return False
    return result.returncode == 0 and result.stdout.strip() == f"CPython {version}"
