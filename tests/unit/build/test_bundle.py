from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from handrail.build import bundle as module
from handrail.build.bundle import Bundle, Member, build_bundle, bundle_digest
from handrail.build.manifest import read_manifest
from handrail.build.package import Package
from handrail.commands import Runner
from handrail.config.schema import Build, Project
from handrail.errors import ConfigError, UsageError
from handrail.testing import RecordingPrinter

pytestmark = pytest.mark.unit

WHEEL = Member("wheel", "dep-1-py3-none-any.whl", "d" * 64, 4, 0o644)
UV = Member("tool", "uv-1-py3-none-any.whl", "e" * 64, 9, 0o644)


@pytest.fixture
def wheels(monkeypatch: pytest.MonkeyPatch) -> list[Member]:
    """What the wheelhouse answers; tests fill it."""
    found: list[Member] = []
    monkeypatch.setattr("handrail.build.wheelhouse.collect_wheels", lambda *_: list(found))
    monkeypatch.setattr("handrail.build.wheelhouse.add_uv", lambda *_: UV)
    return found


def build(repository: Any, build: Build | None = None, **kw: Any) -> Bundle:
    project = Project(app="shop", build=build or Build())
    return build_bundle(project, repository.root, run=Runner(), printer=RecordingPrinter(), **kw)


def a_package(folder: Path, name: str = "shop") -> Package:
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-1.2-py3-none-any.whl"
    wheel.write_text("wheel")
    return Package(wheel, folder / "shop-1.2.tar.gz", "1.2")


def test_a_tree_without_dependencies_installs_nothing(repository: Any, wheels: list[Member]) -> None:
    repository.write("a.py")
    commit = repository.commit()
    bundle = build(repository)
    assert (bundle.kind, bundle.commit, bundle.branch, bundle.dirty) == ("tree", commit, "main", False)
    assert (bundle.python, bundle.platform, bundle.project_wheel) == ("", "", "")
    assert [member.path for member in bundle.members] == ["a.py"]


def test_a_tree_with_dependencies_carries_wheels_and_uv(repository: Any, wheels: list[Member]) -> None:
    repository.write("a.py")
    repository.commit()
    wheels.append(WHEEL)
    bundle = build(repository, python="3.12")
    assert [member.kind for member in bundle.members] == ["file", "wheel", "tool"]
    assert bundle.python == "3.12"


def test_a_wheel_project_carries_its_wheel_and_the_included_files(
    repository: Any, wheels: list[Member], tmp_path: Path
) -> None:
    repository.write("pyproject.toml", "[build-system]\nrequires = []\n")
    repository.write("manage.py")
    repository.commit()
    wheels.append(WHEEL)
    bundle = build(repository, Build(include=["manage.py"]), package=a_package(tmp_path / "built"))
    assert bundle.kind == "wheel"
    assert bundle.version == "1.2"
    assert bundle.project_wheel == "shop-1.2-py3-none-any.whl"
    assert [member.path for member in bundle.members] == ["manage.py", WHEEL.path, bundle.project_wheel, UV.path]


def test_the_projects_own_wheel_wins_over_a_locked_one(repository: Any, wheels: list[Member], tmp_path: Path) -> None:
    repository.write("pyproject.toml", "[build-system]\nrequires = []\n")
    repository.commit()
    wheels.append(Member("wheel", "shop-1.0-py3-none-any.whl", "f" * 64, 1, 0o644))
    bundle = build(repository, package=a_package(tmp_path / "built"))
    assert [member.path for member in bundle.members if member.kind == "wheel"] == ["shop-1.2-py3-none-any.whl"]


def test_a_wheel_project_needs_no_repository(wheels: list[Member], tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[build-system]\nrequires = []\n")
    bundle = build_bundle(
        Project(app="shop"), tmp_path, run=Runner(), printer=RecordingPrinter(), package=a_package(tmp_path / "built")
    )
    assert (bundle.commit, bundle.dirty) == ("", True)


def test_a_tree_without_a_repository_is_told_to_make_one(wheels: list[Member], tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        build_bundle(Project(app="shop"), tmp_path, run=Runner(), printer=RecordingPrinter())
    assert "git init" in caught.value.next_step


def test_the_same_input_gives_the_same_digest_from_any_place(
    repository: Any, wheels: list[Member], tmp_path: Path
) -> None:
    repository.write("a.py", "1")
    repository.link("b", "a.py")
    repository.commit()
    other = type(repository)(tmp_path / "elsewhere")
    other.write("b-first", "")
    (other.root / "b-first").unlink()
    other.link("b", "a.py")
    other.write("a.py", "1")
    other.commit()
    assert build(repository).digest == build(other).digest == build(repository).digest


def test_whatever_a_host_would_get_changes_the_digest() -> None:
    member = Member("file", "a", "a" * 64, 1, 0o644)
    variants = [
        bundle_digest("shop", "tree", "", "", [member]),
        bundle_digest("shops", "tree", "", "", [member]),
        bundle_digest("shop", "wheel", "", "", [member]),
        bundle_digest("shop", "tree", "3.11", "", [member]),
        bundle_digest("shop", "tree", "", "linux_x86_64", [member]),
        bundle_digest("shop", "tree", "", "", []),
        *(
            bundle_digest("shop", "tree", "", "", [Member(**{**member.facts(), **change})])
            for change in ({"path": "b"}, {"sha256": "b" * 64}, {"size": 2}, {"mode": 0o755}, {"kind": "wheel"})
        ),
    ]
    assert len(set(variants)) == len(variants)


def test_where_the_bytes_are_does_not_change_the_digest(tmp_path: Path) -> None:
    here = Member("file", "a", "a" * 64, 1, 0o644, source=tmp_path)
    there = Member("file", "a", "a" * 64, 1, 0o644)
    assert bundle_digest("shop", "tree", "", "", [here]) == bundle_digest("shop", "tree", "", "", [there])


def test_the_manifest_is_json_and_holds_no_path_of_this_machine(repository: Any, wheels: list[Member]) -> None:
    repository.write("a.py")
    repository.commit()
    text = json.dumps(build(repository).manifest())
    assert str(repository.root) not in text


def test_what_is_built_can_be_read(repository: Any, wheels: list[Member]) -> None:
    repository.write("a.py", mode=0o755)
    repository.link("l", "a.py")
    repository.commit()
    wheels.append(WHEEL)
    document = build(repository).manifest()
    assert read_manifest(document, "x").manifest() == document


def test_objects_are_the_different_contents(repository: Any, wheels: list[Member]) -> None:
    repository.write("a.py", "same")
    repository.write("b.py", "same")
    repository.write("c.py", "other")
    repository.link("l", "a.py")
    repository.commit()
    bundle = build(repository)
    assert [member.path for member in bundle.objects()] == ["a.py", "c.py"]
    assert bundle.size == 9


@pytest.mark.parametrize("path", [".venv/x", ".handrail/env"])
def test_a_tracked_path_that_a_host_makes_itself_is_refused(repository: Any, wheels: list[Member], path: str) -> None:
    repository.write(path)
    repository.commit()
    with pytest.raises(ConfigError, match="is made on the host"):
        build(repository)
    assert build(repository, Build(exclude=[path.split("/")[0]])).members == ()


def test_the_declared_python_holds_unless_another_is_asked_for(repository: Any, wheels: list[Member]) -> None:
    repository.write("a")
    repository.commit()
    wheels.append(WHEEL)
    assert build(repository, Build(python="3.12")).python == "3.12"
    assert build(repository, Build(python="3.12"), python="3.13").python == "3.13"


def test_the_archive_is_named_by_app_version_and_digest(repository: Any, wheels: list[Member]) -> None:
    repository.write("pyproject.toml", '[project]\nname = "x"\nversion = "2.0"\n')
    repository.commit()
    bundle = build(repository)
    assert bundle.file_name == f"shop-2.0-{bundle.digest[:12]}.bundle"


def test_importing_bundles_costs_no_heavy_import() -> None:
    assert not {"msgspec", "rich", "packaging"} & set(vars(module))
