"""What a working environment holds beside the locked packages, where pyproject.toml has no ``[project]`` table.

uv locks the dependency groups of such a project as well. What the program itself needs is then either its own
package, which a source with the path ``.`` puts into a group, or a plain requirements file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from handrail.build.package import read_pyproject, uv_table

if TYPE_CHECKING:
    from handrail.config.schema import Project


def is_locked_by_uv(root: Path) -> bool:
    """Return whether uv can lock the project: it has a ``[project]`` table, or groups in a workspace."""
    document = read_pyproject(root)
    return "project" in document or ("dependency-groups" in document and "workspace" in uv_table(document))


def own_sources(root: Path) -> list[str]:
    """Return the names under which the project is its own dependency; empty with a ``[project]`` table."""
    document = read_pyproject(root)
    sources = uv_table(document).get("sources", {})
    if "project" in document or not isinstance(sources, dict):
        return []
    return [name for name, source in sources.items() if isinstance(source, dict) and source.get("path") == "."]


def plain_requirements(root: Path, project: Project) -> str:
    """Return the requirements file that an environment needs beside uv's lock; empty where there is none."""
    if "project" in read_pyproject(root) or own_sources(root):
        return ""
    name = project.build.requirements or "requirements.txt"
    return name if (root / name).is_file() else ""
