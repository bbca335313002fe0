"""The wheelhouse: one wheel for each locked requirement that a target needs, fetched or built once.

pip does the work, with ``--no-deps`` and ``--require-hashes``: the lock has decided everything. Its requirements go
through a private file and not through arguments, because they may hold a token in a URL.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.build.bundle import Member
from handrail.build.cache import WheelCache, cache_folder, cache_key, digest_file
from handrail.build.git import EARLIEST
from handrail.build.lock import find_lock
from handrail.build.package import python_words
from handrail.build.platforms import (
    WheelTarget,
    marker_environments,
    platform_tags,
    running_python,
    target_tags,
    wheel_fits,
)
from handrail.build.requirements import Requirement
from handrail.build.tools import find_uv, pip_command, tool_environment, uv_version
from handrail.commands import how_it_ended
from handrail.errors import ConfigError, TaskFailedError

if TYPE_CHECKING:
    from typing_extensions import Self

    from handrail.commands import Runner
    from handrail.config.schema import Project
    from handrail.ui import Printer

_QUIET = ("--progress-bar", "off")


def collect_wheels(
    project: Project, root: Path, kind: str, target: WheelTarget, run: Runner, printer: Printer
) -> list[Member]:
    """Return the wheels of everything a release installs beside the project itself.

    Raises:
        ConfigError: a requirement has no wheel for the target and cannot be built here.
        TaskFailedError: uv or pip failed.
    """
    lock = find_lock(project, root, kind, target, run, printer)
    if not lock.locked and not lock.local:
        return []
    wanted = choose(lock.locked, target)
    cache = WheelCache(root)
    keys = {item: cache_key(item.line(), target.python, target.platform) for item in wanted}
    missing = [item for item in wanted if cache.find(keys[item]) is None]
    if missing:
        printer.info(f"fetching {len(missing)} of {len(wanted)} wheels for Python {target.python}, {target.platform}")
        with _Fetch(root, target, lock.options, run, printer) as fetch:
            for item, wheel in fetch.wheels(missing):
                cache.store(keys[item], wheel)
    members = []
    for item in wanted:
        member = cache.find(keys[item])
        assert member is not None, item.name
        members.append(member)
    environments = marker_environments(target)
    local = dict.fromkeys(each.path for each in lock.local if each.applies(environments))
    return members + [_local_wheel(path, root, target, run, printer) for path in local]


def add_uv(root: Path, target: WheelTarget, run: Runner, printer: Printer) -> Member:
    """Return the uv wheel for the target's platform as a ``tool`` member: a host without uv installs with it.

    Raises:
        TaskFailedError: pip found none for the platform.
    """
    cache = WheelCache(root)
    item = Requirement("uv", f"uv=={uv_version()}", "", "", ())
    key = cache_key("tool", item.text, target.platform)
    found = cache.find(key, "tool")
    if found is None:
        # The program inside does not depend on the Python that its wheel is installed for.
        here = replace(target, python=running_python())
        with _Fetch(root, here, (), run, printer) as fetch:
            for _, wheel in fetch.wheels([item], only_binary=True):
                cache.store(key, wheel)
        found = cache.find(key, "tool")
    assert found is not None
    return found


def choose(locked: Iterable[Requirement], target: WheelTarget) -> list[Requirement]:
    """Return the requirements that are meant for a target, one a name, by name."""
    chosen: dict[str, Requirement] = {}
    environments = marker_environments(target)
    candidates = list(locked)
    # A fork on the patch release may lock a name twice; the newest patch release then decides.
    for environment in environments:
        for item in candidates:
            if item.applies([environment]):
                chosen.setdefault(item.name, item)
    return [chosen[name] for name in sorted(chosen)]


class _Fetch:
    """One use of pip: a folder of its own, in which wheels arrive."""

    def __init__(self, root: Path, target: WheelTarget, options: Sequence[str], run: Runner, printer: Printer) -> None:
        self._root = root
        self._target = target
        self._options = options
        self._run = run
        self._printer = printer
        self._work = tempfile.TemporaryDirectory(dir=cache_folder(root), prefix="fetch-", ignore_cleanup_errors=True)
        self._folder = Path(self._work.name)
        self._python = self._find_python()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._work.cleanup()

    def _find_python(self) -> Path | None:
        """Return the interpreter that pip must work for, where it is not this one and there is one."""
        from handrail.pythons import find_pythons

        if self._target.python == running_python():
            return None
        return find_pythons([self._target.python], self._run).get(self._target.python)

    def wheels(self, items: Sequence[Requirement], *, only_binary: bool = False) -> list[tuple[Requirement, Path]]:
        """Return the wheel of each requirement.

        Raises:
            ConfigError: one has no wheel that fits the target.
            TaskFailedError: pip failed.
        """
        can_build = self._python is not None or self._target.python == running_python()
        if self._target.native and can_build and not only_binary:
            self._build(items)
        else:
            self._download(items, only_binary=only_binary)
            # What came as source may still make a wheel that fits: most are plain Python.
            if sources := [item for item in items if self._wheel(item) is None]:
                self._build(sources)
        return [(item, self._checked(item)) for item in items]

    def _build(self, items: Sequence[Requirement]) -> None:
        """Fetch wheels for this machine, and build those that come as source only."""
        self._pip(items, ["wheel", "--no-deps", *_QUIET, "--wheel-dir", str(self._folder)], self._python)

    def _download(self, items: Sequence[Requirement], *, only_binary: bool) -> None:
        target = self._target
        words = ["--python-version", target.python, "--implementation", "cp"]
        if not target.native:
            words += [word for tag in platform_tags(target.platform) for word in ("--platform", tag)]
        if only_binary:
            words.append("--only-binary=:all:")
        self._pip(items, ["download", "--no-deps", *_QUIET, *words, "--dest", str(self._folder)], None)

    def _pip(self, items: Sequence[Requirement], words: list[str], python: Path | None) -> None:
        hashed = [item for item in items if item.hashes]
        for part in (hashed, [item for item in items if not item.hashes]):
            if not part:
                continue
            file = self._write(part)
            flags = ["--require-hashes"] if part is hashed else []
            argv = [*pip_command(python), *words, *flags, "-r", str(file)]
            try:
                self._run.run(argv, cwd=self._root, env=tool_environment(EARLIEST), stream=self._printer.detail)
            except TaskFailedError as error:
                what = f"`pip {words[0]}` of {_names(part)} {how_it_ended(error.returncode or 1)}"
                raise TaskFailedError(
                    what,
                    command=error.command,
                    returncode=error.returncode,
                    lines=error.lines,
                    next_step="a new lock needs the package index once: check the network and PIP_INDEX_URL",
                ) from None
            finally:
                file.unlink()

    def _write(self, items: Sequence[Requirement]) -> Path:
        file = self._folder / "requirements.txt"
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write("\n".join([*self._options, *(item.line() for item in items)]) + "\n")
        return file

    def _wheel(self, item: Requirement) -> Path | None:
        from packaging.utils import parse_wheel_filename

        found = [path for path in self._folder.glob("*.whl") if parse_wheel_filename(path.name)[0] == item.name]
        return found[0] if found else None

    def _checked(self, item: Requirement) -> Path:
        wheel = self._wheel(item)
        target = self._target
        if wheel is None:
            raise TaskFailedError(f"pip made no wheel of {item.name}")
        if not wheel_fits(wheel.name, target_tags(target)):
            raise ConfigError(
                f"{item.name} has no wheel for Python {target.python} on {target.platform}, and what its source makes "
                f"here, {wheel.name}, does not fit either",
                next_step="build on a machine like the hosts, or lock a version that has such a wheel",
            )
        return wheel


def _names(items: Sequence[Requirement]) -> str:
    names = ", ".join(item.name for item in items[:3])
    return names if len(items) <= 3 else f"{names} and {len(items) - 3} more"


def _local_wheel(path: Path, root: Path, target: WheelTarget, run: Runner, printer: Printer) -> Member:
    """Return the wheel of a package in a folder of this machine, built anew at each build, or of a wheel file."""
    cache = WheelCache(root)
    with tempfile.TemporaryDirectory(dir=cache_folder(root), prefix="local-", ignore_cleanup_errors=True) as name:
        work = Path(name)
        if path.is_dir():
            printer.info(f"building {path.name}")
            argv = [find_uv(), "build", "--wheel", "--out-dir", name, *python_words(target.python, run), str(path)]
            run.run(argv, cwd=path, env=tool_environment(EARLIEST), stream=printer.detail)
        else:
            shutil.copy(path, work)
        wheel = next(work.glob("*.whl"), None)
        if wheel is None:
            raise TaskFailedError(f"`uv build` made no wheel of {path}")
        if not wheel_fits(wheel.name, target_tags(target)):
            raise ConfigError(f"{wheel.name} does not fit Python {target.python} on {target.platform}")
        key = cache_key("local", wheel.name, digest_file(wheel))
        if cache.find(key) is None:
            cache.store(key, wheel)
    member = cache.find(key)
    assert member is not None
    return member
