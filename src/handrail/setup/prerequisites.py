"""What must be on the machine before anything else: which version was found, and how to get what is missing."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handrail.errors import HandrailError, PreflightError

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project

_VERSION = re.compile(r"(\d+(?:\.\d+)+)")
_PLACES = {"linux": "on Debian: apt-get install {deb}", "darwin": "brew install {brew}"}


@dataclass(frozen=True)
class Prerequisite:
    """One program.

    Attributes:
        argv: prints its version.
        least: the lowest version that works, as numbers.
        get: how to get it, by ``sys.platform``; ``""`` is for every other one.
        why: what needs it.
    """

    name: str
    argv: tuple[str, ...]
    least: tuple[int, ...]
    get: dict[str, str]
    why: str
    is_required: bool = True

    def how_to_get(self, platform: str = sys.platform) -> str:
        """Return the sentence that helps on this platform."""
        return self.get.get(platform, self.get[""])


@dataclass(frozen=True)
class Found:
    """What was found of a prerequisite; ``version`` is empty when it is not there."""

    prerequisite: Prerequisite
    version: str

    @property
    def is_good(self) -> bool:
        return bool(self.version) and as_numbers(self.version) >= self.prerequisite.least

    @property
    def sentence(self) -> str:
        """What is wrong with it, and how to get it."""
        need = self.prerequisite
        least = ".".join(map(str, need.least))
        state = f"is {self.version}, at least {least} is needed" if self.version else "is not installed"
        return f"{need.name} {state} ({need.why}): {need.how_to_get()}"


def prerequisites(project: Project, *, skip_docker: bool = False) -> list[Prerequisite]:
    """Return what this project needs on the machine, in the order of the table."""
    needs = [
        Prerequisite("git", ("git", "--version"), (2, 20), _get("git", "git"), "history and hooks"),
        Prerequisite(
            "python",
            (sys.executable, "--version"),
            (3, 10),
            {"": "uv python install 3.12, or https://www.python.org/downloads/"},
            "everything",
        ),
        Prerequisite(
            "uv",
            (_uv(), "--version"),
            (0, 9),
            {"": "pip install uv, or https://docs.astral.sh/uv/getting-started/installation/"},
            "environments and locked packages",
        ),
        Prerequisite(
            "ssh",
            ("ssh", "-V"),
            (7, 6),
            _get("openssh-client", "openssh"),
            "looking at hosts by hand, ssh-keyscan",
            is_required=False,
        ),
    ]
    if project.setup.compose_file and not skip_docker:
        needs += [
            Prerequisite(
                "docker",
                ("docker", "version", "--format", "{{.Server.Version}}"),
                (20, 10),
                _get("docker.io", "--cask docker"),
                "development services",
            ),
            Prerequisite(
                "docker compose",
                ("docker", "compose", "version", "--short"),
                (2, 1),
                {"": "https://docs.docker.com/compose/install/linux/ (the compose plugin)"},
                f"starting {project.setup.compose_file}",
            ),
        ]
    return needs


def look(needs: Sequence[Prerequisite], runner: Runner) -> list[Found]:
    """Return what is on this machine of ``needs``."""
    return [Found(need, _version(need, runner)) for need in needs]


def require(found: Sequence[Found]) -> None:
    """Refuse when something required is missing or too old.

    Raises:
        PreflightError: names all of them at once, each with how to get it.
    """
    bad = [each for each in found if each.prerequisite.is_required and not each.is_good]
    if not bad:
        return
    names = " and ".join(each.prerequisite.name for each in bad)
    only_services = all(each.prerequisite.argv[0] == "docker" for each in bad)
    without = "; or, without the development services: inv setup --skip-docker" if only_services else ""
    raise PreflightError(
        f"{names} must be installed first",
        step="prerequisites",
        lines=[each.sentence for each in bad],
        next_step=bad[0].prerequisite.how_to_get() + without,
    )


def rows(found: Sequence[Found]) -> list[list[str]]:
    """Return the table: name, version found, least version, remark."""
    return [
        [
            each.prerequisite.name,
            each.version or "missing",
            ".".join(map(str, each.prerequisite.least)),
            "" if each.is_good else each.prerequisite.how_to_get(),
        ]
        for each in found
    ]


def as_numbers(version: str) -> tuple[int, ...]:
    """Return ``"28.2.2"`` as ``(28, 2, 2)``, so that versions compare as numbers."""
    return tuple(int(part) for part in version.split("."))


def _uv() -> str:
    from handrail.build.tools import find_uv

    try:
        return find_uv()
    except HandrailError:
        return "uv"


def _version(need: Prerequisite, runner: Runner) -> str:
    try:
        result = runner.run(list(need.argv), check=False, timeout=30)
    except HandrailError:
        return ""
    if result.returncode != 0:
        return ""
    # ssh -V answers on its standard error.
    match = _VERSION.search(result.stdout) or _VERSION.search(result.stderr)
    return match[1] if match else ""


def _get(deb: str, brew: str) -> dict[str, str]:
    return {
        "linux": _PLACES["linux"].format(deb=deb),
        "darwin": _PLACES["darwin"].format(brew=brew),
        "": f"install {deb} with your system's package manager",
    }
