"""Which wheels fit where: platform names, wheel tags and environment markers of a target.

A *target* is a Python minor version and a platform. The platform is this machine's own (``linux_x86_64``,
``macosx_arm64``), or one that was declared, such as ``manylinux_2_28_aarch64``. Markers are evaluated here and
not by pip, which would answer for the interpreter that runs it, and only from what a target says, so that two
machines choose the same packages for it.
"""

from __future__ import annotations

import platform as machine
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handrail.errors import ConfigError

if TYPE_CHECKING:
    from packaging.tags import Tag

    from handrail.build.bundle import Bundle

_PYTHON = re.compile(r"^3\.\d{1,2}$")
_PLATFORM = re.compile(
    r"^(?:(?P<family>manylinux|musllinux|macosx)_(?P<major>\d+)_(?P<minor>\d+)|(?P<legacy>manylinux2014)|linux)"
    r"_(?P<arch>[a-z0-9_]+)$"
)
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLD_ARCHES = ("x86_64", "i686")


@dataclass(frozen=True)
class WheelTarget:
    """What wheels are chosen for.

    Attributes:
        python: minor version, such as ``"3.11"``.
        platform: wheel platform; this machine's own has no system version in it.
        native: whether the platform is this machine's own.
    """

    python: str
    platform: str
    native: bool

    @property
    def is_running(self) -> bool:
        """Whether the interpreter that runs this is itself such a target."""
        return self.native and self.python == running_python()


def running_python() -> str:
    """Return the minor version of the interpreter that runs this, such as ``"3.11"``."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def native_platform() -> str:
    """Return this machine's platform, such as ``linux_x86_64`` or ``macosx_arm64``."""
    system = {"Darwin": "macosx"}.get(machine.system(), machine.system().lower())
    return f"{system}_{machine.machine()}"


def choose_target(python: str, platform: str) -> WheelTarget:
    """Return the target for what was asked; an empty part means "as here".

    Raises:
        ConfigError: the version or the platform is not one that wheels are made for.
    """
    python = python or running_python()
    if not _PYTHON.fullmatch(python):
        raise ConfigError(f"build.python is {python!r}, expected a minor version such as '3.11'")
    here = native_platform()
    if platform in ("", here):
        return WheelTarget(python, here, native=True)
    match = _PLATFORM.fullmatch(platform)
    if match is None or (match["family"] is None and match["legacy"] is None):
        arch = platform.partition("_")[2] or "x86_64"
        nearest = f"manylinux_2_28_{arch}" if platform.startswith("linux") else "manylinux_2_28_x86_64"
        raise ConfigError(
            f"build.platform is {platform!r}, expected a wheel platform of Linux or macOS such as {nearest!r}"
        )
    return WheelTarget(python, platform, native=False)


def platform_tags(platform: str) -> list[str]:
    """Return the platform tags that fit a declared platform, best first."""
    from packaging.tags import mac_platforms

    match = _PLATFORM.fullmatch(platform)
    assert match is not None, platform
    arch, family = match["arch"], match["family"]
    if family == "macosx":
        return list(mac_platforms((int(match["major"]), int(match["minor"])), arch))
    if family == "musllinux":
        return [*(f"musllinux_1_{n}_{arch}" for n in range(int(match["minor"]), -1, -1)), f"linux_{arch}"]
    if family is None and match["legacy"] is None:
        return [platform]
    newest = int(match["minor"] or 17)
    oldest = 5 if arch in _OLD_ARCHES else 17
    tags = []
    for minor in range(newest, oldest - 1, -1):
        tags.append(f"manylinux_2_{minor}_{arch}")
        if minor in _LEGACY:
            tags.append(f"{_LEGACY[minor]}_{arch}")
    return [*tags, f"linux_{arch}"]


def supported_tags(python: str, platforms: Iterable[str]) -> list[Tag]:
    """Return every wheel tag that CPython ``python`` installs on ``platforms``, best first."""
    from packaging.tags import compatible_tags, cpython_tags

    version = (3, int(python.split(".")[1]))
    names = list(platforms)
    interpreter = f"cp3{version[1]}"
    return [
        *cpython_tags(version, abis=[interpreter], platforms=names),
        *compatible_tags(version, interpreter, names),
    ]


def target_tags(target: WheelTarget) -> list[Tag]:
    """Return the wheel tags that fit a target, best first."""
    from packaging.tags import platform_tags as native_tags

    return supported_tags(target.python, native_tags() if target.native else platform_tags(target.platform))


def wheel_fits(filename: str, tags: Iterable[Tag]) -> bool:
    """Return whether a wheel with this file name can be installed where ``tags`` hold."""
    from packaging.utils import parse_wheel_filename

    return not parse_wheel_filename(filename)[3].isdisjoint(tags)


def marker_environments(target: WheelTarget) -> list[dict[str, str]]:
    """Return what environment markers see on a target: its oldest and its newest patch release.

    A host's patch release is not known here; a package that either of them needs travels.
    """
    match = None if target.native else _PLATFORM.match(target.platform)
    arch = match["arch"] if match else target.platform.partition("_")[2]
    darwin = target.platform.startswith("macosx")
    common = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": arch,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Darwin" if darwin else "Linux",
        "platform_version": "",
        "python_version": target.python,
        "sys_platform": "darwin" if darwin else "linux",
    }
    versions = (f"{target.python}.99", f"{target.python}.0")
    return [{**common, "python_full_version": v, "implementation_version": v} for v in versions]


def check_wheels(bundle: Bundle, facts: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each reason why a bundle's wheels cannot be installed on a host.

    Args:
        facts: what the host's agent says of it: ``pythons`` by minor version, ``system``, ``machine``, ``libc``.
    """
    from packaging.utils import parse_wheel_filename

    if not bundle.python:
        return []
    problems = []
    pythons = sorted(facts.get("pythons") or {}, key=lambda minor: int(minor.split(".")[1]))
    if bundle.python not in pythons:
        found = ", ".join(pythons) or "none"
        problems.append(f"the bundle needs Python {bundle.python}; found on this host: {found}")
    tags = frozenset(supported_tags(bundle.python, _host_platforms(facts)))
    for member in bundle.members:
        if member.kind in ("wheel", "tool") and not wheel_fits(member.path, tags):
            needs = sorted({str(tag) for tag in parse_wheel_filename(member.path)[3]})
            problems.append(
                f"{member.path} does not fit: it is for {', '.join(needs[:3])}; this host is {_describe(facts, bundle)}"
            )
    return problems


def _describe(facts: Mapping[str, Any], bundle: Bundle) -> str:
    libc = " ".join(word for word in facts.get("libc") or () if word)
    words = f"{facts.get('system', '?')} {facts.get('machine', '?')}"
    return f"{words}{', ' + libc if libc else ''}, Python {bundle.python}"


def _host_platforms(facts: Mapping[str, Any]) -> list[str]:
    system, arch = str(facts.get("system", "")), str(facts.get("machine", ""))
    if system == "Darwin":
        # The host does not say which macOS it runs; a wheel for a newer one than its own is found by uv there.
        return platform_tags(f"macosx_99_0_{arch}")
    libc, version = [*(facts.get("libc") or ()), "", ""][:2]
    minor = re.match(r"^\d+\.(\d+)", version)
    family = "musllinux_1" if libc == "musl" else "manylinux_2"
    # An unknown C library rules nothing out: a preflight that cannot know must not refuse.
    return platform_tags(f"{family}_{minor[1] if minor else 99}_{arch}")
