"""Bundles built for real: uv, a build backend and the package index, then without them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from handrail.build import check_wheels
from handrail.build.archive import read_bundle
from handrail.testing.project import DeployProject

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PACKAGE = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "shop"
version = "1.0"
requires-python = ">=3.10"
dependencies = ["click==8.3.1", "markupsafe==3.0.3"]

[tool.hatch.build.targets.wheel]
packages = ["shop"]
"""
NO_INDEX = {"UV_OFFLINE": "1"}  # for pip too, see `handrail.build.tools`; the build backend comes from uv's cache


@pytest.fixture
def package(tmp_path: Path) -> DeployProject:
    project = DeployProject(
        tmp_path / "shop", "shop", [], {"test": {"hosts": ["web-1"], "known_hosts": "", "ssh_config": ""}}
    )
    project.write("pyproject.toml", (project.folder / "pyproject.toml").read_text() + PACKAGE)
    project.write("shop/__init__.py", "")
    project.write("shop/__main__.py", "print('shop')\n")
    subprocess.run([sys.executable, "-m", "uv", "lock", "--quiet"], cwd=project.folder, check=True)
    project.commit("a package")
    return project


@pytest.fixture
def tree(tmp_path: Path) -> DeployProject:
    project = DeployProject(
        tmp_path / "site", "site", [], {"test": {"hosts": ["web-1"], "known_hosts": "", "ssh_config": ""}}
    )
    project.write("requirements.txt", "click==8.3.1\nmarkupsafe\n")
    project.write("manage.py", "print('site')\n")
    project.commit("a tree")
    return project


def build(project: DeployProject, **env: str) -> dict[str, object]:
    done = project.inv("build", "--json", env=env)
    assert done.returncode == 0, str(done)
    return done.document


def bundle_file(project: DeployProject) -> Path:
    (found,) = (project.folder / "dist").glob("*.bundle")
    return found


def test_a_locked_package_becomes_a_wheel_an_sdist_and_a_bundle(package: DeployProject, tmp_path: Path) -> None:
    build(package)
    names = {path.suffix for path in (package.folder / "dist").iterdir()}
    assert {".whl", ".gz", ".bundle"} <= names
    bundle = read_bundle(bundle_file(package), tmp_path / "work")
    wheels = sorted(member.path.split("-")[0] for member in bundle.members if member.kind == "wheel")
    assert wheels == ["click", "markupsafe", "shop"]
    (tool,) = [member for member in bundle.members if member.kind == "tool"]
    assert tool.source is not None
    assert any(name.endswith("/scripts/uv") for name in zipfile.ZipFile(tool.source).namelist())


def test_a_tree_with_open_requirements_gets_exact_wheels(tree: DeployProject, tmp_path: Path) -> None:
    build(tree)
    bundle = read_bundle(bundle_file(tree), tmp_path / "work")
    assert (bundle.kind, bundle.project_wheel) == ("tree", "")
    wheels = sorted(member.path.split("-")[0] for member in bundle.members if member.kind == "wheel")
    assert wheels == ["click", "markupsafe"]
    assert "manage.py" in {member.path for member in bundle.members if member.kind == "file"}


@pytest.mark.parametrize("kind", ["package", "tree"])
def test_the_second_build_needs_no_index_and_gives_the_same_digest(kind: str, request: pytest.FixtureRequest) -> None:
    project: DeployProject = request.getfixturevalue(kind)
    first = build(project)
    bundle_file(project).unlink()
    assert build(project, **NO_INDEX)["digest"] == first["digest"]


def test_another_content_gives_another_digest(package: DeployProject) -> None:
    first = build(package)["digest"]
    package.write("shop/__main__.py", "print('another')\n")
    package.commit("a change")
    assert build(package)["digest"] != first


def test_wheels_of_another_platform_are_collected_and_do_not_fit_this_one(tree: DeployProject, tmp_path: Path) -> None:
    tree.configure(build={"platform": "manylinux_2_28_aarch64", "python": "3.12"})
    tree.commit("for other hosts")
    build(tree)
    bundle = read_bundle(bundle_file(tree), tmp_path / "work")
    assert any("aarch64" in member.path for member in bundle.members if member.path.startswith("markupsafe"))
    here = {
        "pythons": {"3.12": "/usr/bin/python3.12"},
        "machine": "x86_64",
        "system": "Linux",
        "libc": ["glibc", "2.36"],
    }
    there = {**here, "machine": "aarch64"}
    (problem, *_) = check_wheels(bundle, here)
    assert "markupsafe" in problem
    assert list(check_wheels(bundle, there)) == []
