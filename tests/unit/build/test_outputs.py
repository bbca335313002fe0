from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handrail.build.archive import read_bundle
from handrail.build.outputs import build_outputs, show_outputs, show_size
from handrail.build.package import Package
from handrail.commands import Runner
from handrail.config.schema import Build, Project
from handrail.testing import RecordingPrinter

pytestmark = pytest.mark.unit


def test_a_trees_bundle_lands_in_dist(repository: Any, printer: RecordingPrinter, tmp_path: Path) -> None:
    repository.write("a.py", "print(1)\n")
    repository.commit()
    outputs = build_outputs(Project(app="shop"), repository.root, run=Runner(), printer=printer)
    assert outputs.wheel is None
    assert outputs.archive == repository.root / "dist" / outputs.bundle.file_name
    assert read_bundle(outputs.archive, tmp_path / "work").digest == outputs.bundle.digest
    document = outputs.document(repository.root)
    assert document["bundle"] == f"dist/{outputs.bundle.file_name}"
    assert (document["wheel"], document["digest"]) == (None, outputs.bundle.digest)


def test_wheel_and_sdist_land_in_dist_where_there_is_a_build_system(
    repository: Any, printer: RecordingPrinter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write("pyproject.toml", "[build-system]\nrequires = []\n")
    repository.commit()
    for name in ("shop-1-py3-none-any.whl", "shop-1.tar.gz"):
        (tmp_path / name).write_text(name)
    package = Package(tmp_path / "shop-1-py3-none-any.whl", tmp_path / "shop-1.tar.gz", "1")
    monkeypatch.setattr("handrail.build.package.build_package", lambda *_, **__: package)
    project = Project(app="shop", build=Build(kind="tree"))
    outputs = build_outputs(project, repository.root, run=Runner(), printer=printer)
    assert {path.name for path in (repository.root / "dist").iterdir()} == {
        outputs.bundle.file_name,
        "shop-1-py3-none-any.whl",
        "shop-1.tar.gz",
    }


def test_old_bundles_make_room(repository: Any, printer: RecordingPrinter) -> None:
    for number in range(7):
        repository.write("a.py", str(number))
        repository.commit()
        outputs = build_outputs(Project(app="shop"), repository.root, run=Runner(), printer=printer)
    assert outputs.archive.exists()
    assert len(list((repository.root / "dist").glob("*.bundle"))) == 5


def test_the_digest_is_shown_and_uncommitted_changes_are_said(repository: Any, printer: RecordingPrinter) -> None:
    repository.write("a.py")
    repository.commit()
    repository.write("a.py", "changed")
    outputs = build_outputs(Project(app="shop"), repository.root, run=Runner(), printer=printer)
    show_outputs(outputs, repository.root, printer)
    said = {event.kind: " ".join(event.words) for event in printer.events}
    assert outputs.bundle.digest in said["success"]
    assert "uncommitted changes" in said["warn"]


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (20480, "20 KiB"), (5 << 30, "5.0 GiB")]
)
def test_sizes_are_shown_as_people_read_them(size: int, text: str) -> None:
    assert show_size(size) == text
