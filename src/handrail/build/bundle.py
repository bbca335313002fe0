"""A bundle: everything a release is made of, each member known by the sha256 of its bytes.

Two kinds. ``wheel``: the project's own wheel, plus the files it asks for beside it (`Project.build.include`).
``tree``: the project's git-tracked files as they are in the working tree. Either carries the locked wheels of the
dependencies and, where there is anything to install, the uv wheel that installs them on a host without it.

The digest covers what a host would get (app, kind, Python, platform, members) and not where it came from, so the
same input gives the same digest on any machine. Members keep the local path of their bytes: nothing is copied
until a bundle is uploaded or written to a file (`handrail.build.archive`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.errors import ConfigError

if TYPE_CHECKING:
    from handrail.build.package import Package
    from handrail.build.platforms import WheelTarget
    from handrail.commands import Runner
    from handrail.config.schema import Project
    from handrail.ui import Printer

FORMAT = 1
"""Version of the manifest; a reader refuses one that it does not know."""


@dataclass(frozen=True)
class Member:
    """One thing in a bundle.

    Attributes:
        kind: ``file``, ``link``, ``wheel`` or ``tool``.
        path: release-relative path of a file or link; file name of a wheel or tool.
        sha256: of its bytes, in hex; ``""`` for a link.
        size: in bytes.
        mode: ``0o644`` or ``0o755``; ``0o777`` for a link.
        target: what a link points at.
        source: where the bytes are on this machine.
    """

    kind: str
    path: str
    sha256: str
    size: int
    mode: int
    target: str = ""
    source: Path | None = None

    def facts(self) -> dict[str, Any]:
        """Return what describes this member on any machine."""
        return {
            "kind": self.kind,
            "path": self.path,
            "sha256": self.sha256,
            "size": self.size,
            "mode": self.mode,
            "target": self.target,
        }


@dataclass(frozen=True)
class Bundle:
    """What a deploy ships.

    Attributes:
        digest: sha256 in hex; the same input gives the same digest.
        kind: ``wheel`` or ``tree``.
        commit: full git commit; ``""`` where there is none.
        dirty: whether the content may differ from the commit's.
        python: minor version such as ``"3.11"``; ``""`` when nothing is installed.
        platform: of the wheels; ``""`` when nothing is installed.
        project_wheel: file name of the project's own wheel; ``""`` for a tree.
    """

    digest: str
    app: str
    version: str
    kind: str
    commit: str
    branch: str
    dirty: bool
    python: str
    platform: str
    members: tuple[Member, ...]
    project_wheel: str

    def manifest(self) -> dict[str, Any]:
        """Return the bundle as JSON-able data, without paths of this machine."""
        return {
            "format": FORMAT,
            "digest": self.digest,
            "app": self.app,
            "version": self.version,
            "kind": self.kind,
            "commit": self.commit,
            "branch": self.branch,
            "dirty": self.dirty,
            "python": self.python,
            "platform": self.platform,
            "project_wheel": self.project_wheel,
            "members": [member.facts() for member in self.members],
        }

    def objects(self) -> list[Member]:
        """Return one member for each different content, in the members' order; links have none."""
        unique: dict[str, Member] = {}
        for member in self.members:
            if member.kind != "link":
                unique.setdefault(member.sha256, member)
        return list(unique.values())

    @property
    def size(self) -> int:
        """Bytes of all different contents."""
        return sum(member.size for member in self.objects())

    @property
    def file_name(self) -> str:
        """The name of this bundle's archive: ``<app>-<version>-<digest12>.bundle``."""
        return f"{self.app}-{self.version}-{self.digest[:12]}.bundle"


def bundle_digest(app: str, kind: str, python: str, platform: str, members: Iterable[Member]) -> str:
    """Return the digest of what a host would get."""
    content = {
        "app": app,
        "kind": kind,
        "python": python,
        "platform": platform,
        "members": [member.facts() for member in members],
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def build_bundle(
    project: Project,
    root: Path,
    *,
    python: str = "",
    platform: str = "",
    run: Runner,
    printer: Printer,
    package: Package | None = None,
) -> Bundle:
    """Build the bundle of what ``root`` holds now.

    Args:
        python: minor version on the hosts; ``""``: as declared, else the one that runs this.
        platform: wheel platform of the hosts; ``""``: as declared, else this machine's.
        package: the project's distributions where they are built already.

    Raises:
        UsageError: no git repository where one is needed, or a tool is missing.
        ConfigError: the project cannot be bundled as it is declared.
        TaskFailedError: uv, pip or git said no.
    """
    from handrail.build.git import read_git
    from handrail.build.manifest import find_problem
    from handrail.build.package import bundle_kind, check_python, project_version
    from handrail.build.platforms import choose_target
    from handrail.build.wheelhouse import add_uv, collect_wheels

    kind = bundle_kind(project, root)
    git = read_git(root, run, untracked=kind == "wheel", required=kind == "tree" or bool(project.build.include))
    target = choose_target(python or project.build.python, platform or project.build.platform)
    check_python(root, target)
    if kind == "wheel":
        package = package or _build_package(root, target, git.epoch, run, printer)
        files = _files_beside(project, root, run)
    else:
        package = None
        files = _tree(project, root, run, printer)
    wheels = collect_wheels(project, root, kind, target, run, printer)
    if package:
        wheels = _with_package(wheels, package, target)
    tools = [add_uv(root, target, run, printer)] if wheels else []
    if not wheels:
        target = replace(target, python="", platform="")
    members = (*files, *sorted(wheels, key=lambda member: member.path), *tools)
    if problem := find_problem(members):
        raise ConfigError(
            f"this project cannot be bundled: {problem}", next_step="see build.exclude in docs/configuration.md"
        )
    return Bundle(
        digest=bundle_digest(project.app, kind, target.python, target.platform, members),
        app=project.app,
        version=package.version if package else project_version(root, git.commit),
        kind=kind,
        commit=git.commit,
        branch=git.branch,
        dirty=git.dirty,
        python=target.python,
        platform=target.platform,
        members=members,
        project_wheel=package.wheel.name if package else "",
    )


def _build_package(root: Path, target: WheelTarget, epoch: int, run: Runner, printer: Printer) -> Package:
    from handrail.build.package import build_package

    return build_package(root, python=target.python, epoch=epoch, run=run, printer=printer)


def _files_beside(project: Project, root: Path, run: Runner) -> list[Member]:
    from handrail.build.tree import list_tree

    return list_tree(root, run, include=project.build.include) if project.build.include else []


def _tree(project: Project, root: Path, run: Runner, printer: Printer) -> list[Member]:
    from handrail.build.tree import list_tree

    return list_tree(root, run, exclude=project.build.exclude, warn=printer.warn)


def _with_package(wheels: list[Member], package: Package, target: WheelTarget) -> list[Member]:
    from handrail.build.package import as_member

    member = as_member(package, target)
    # A lock that names the project itself (a requirements file made from an installed one) must not win over it.
    return [*(wheel for wheel in wheels if wheel.path.split("-")[0] != member.path.split("-")[0]), member]
