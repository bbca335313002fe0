"""What a build leaves in ``dist/``: wheel and sdist where the project has a build system, and the bundle's file."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.build.archive import write_bundle
from handrail.build.bundle import Bundle, build_bundle
from handrail.build.cache import newest_first

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project
    from handrail.ui import Printer

DIST = "dist"
_KEPT_BUNDLES = 5
_ROWS = 60


@dataclass(frozen=True)
class Outputs:
    """The bundle and where its files are; a project without a build system has neither wheel nor sdist."""

    bundle: Bundle
    archive: Path
    wheel: Path | None
    sdist: Path | None

    def document(self, root: Path) -> dict[str, Any]:
        """Return what ``inv build --json`` prints: the manifest, and the files relative to the project."""

        def relative(path: Path | None) -> str | None:
            return path.relative_to(root).as_posix() if path else None

        return {
            "command": "build",
            **self.bundle.manifest(),
            "size": self.bundle.size,
            "bundle": relative(self.archive),
            "bundle_size": self.archive.stat().st_size,
            "wheel": relative(self.wheel),
            "sdist": relative(self.sdist),
        }


def build_outputs(
    project: Project, root: Path, *, python: str = "", platform: str = "", run: Runner, printer: Printer
) -> Outputs:
    """Build everything that can be built of ``root`` into ``dist/``; see `build_bundle` for arguments and errors.

    The wheel in ``dist/`` is the one in the bundle, byte for byte.
    """
    from handrail.build.git import read_git
    from handrail.build.package import build_package, has_build_system
    from handrail.build.platforms import choose_target

    package = None
    if has_build_system(root):
        target = choose_target(python or project.build.python, platform or project.build.platform)
        git = read_git(root, run, untracked=False, required=False)
        package = build_package(root, python=target.python, epoch=git.epoch, run=run, printer=printer)
    bundle = build_bundle(project, root, python=python, platform=platform, run=run, printer=printer, package=package)
    folder = root / DIST
    folder.mkdir(exist_ok=True)
    wheel = _publish(package.wheel, folder) if package else None
    sdist = _publish(package.sdist, folder) if package else None
    archive = folder / bundle.file_name
    write_bundle(bundle, archive)
    _prune(folder, project.app)
    return Outputs(bundle, archive, wheel, sdist)


def show_outputs(outputs: Outputs, root: Path, printer: Printer) -> None:
    """Show what was built, as a table of members and one line on the bundle."""
    bundle = outputs.bundle
    placed = [member for member in bundle.members if member.kind in ("file", "link")]
    rows = []
    if placed:
        rows.append(["files", f"{len(placed)} of the git-tracked tree", show_size(sum(m.size for m in placed)), ""])
    others = [member for member in bundle.members if member.kind not in ("file", "link")]
    rows += [[member.kind, member.path, show_size(member.size), member.sha256[:12]] for member in others[:_ROWS]]
    if len(others) > _ROWS:
        rows.append(["…", f"{len(others) - _ROWS} more", "", ""])
    printer.table("", ["kind", "member", "size", "sha256"], rows)
    for path in (outputs.wheel, outputs.sdist):
        if path:
            printer.info(f"{path.relative_to(root).as_posix()}  {show_size(path.stat().st_size)}")
    size = show_size(outputs.archive.stat().st_size)
    printer.success(f"{outputs.archive.relative_to(root).as_posix()}  {size}  digest {bundle.digest}")
    if bundle.dirty:
        what = "uncommitted changes" if bundle.commit else "no commit"
        printer.warn(f"the bundle comes from a working tree with {what}")


def show_size(size: int) -> str:
    """Return a number of bytes as people read it: ``512 B``, ``3.4 KiB``, ``17 MiB``."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def _publish(path: Path, folder: Path) -> Path:
    """Put a copy into ``folder`` in one step: nobody sees half a wheel."""
    draft = folder / f".{path.name}.{os.getpid()}.tmp"
    shutil.copyfile(path, draft)
    draft.replace(folder / path.name)
    return folder / path.name


def _prune(folder: Path, app: str) -> None:
    for path in newest_first(folder.glob(f"{app}-*.bundle"))[_KEPT_BUNDLES:]:
        path.unlink(missing_ok=True)
