from __future__ import annotations

import re
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from handrail.build.git import EARLIEST
from handrail.build.package import (
    Package,
    as_member,
    build_package,
    bundle_kind,
    check_python,
    has_build_system,
    project_version,
)
from handrail.build.platforms import choose_target, running_python
from handrail.config.schema import Build, Project
from handrail.errors import ConfigError, TaskFailedError
from handrail.testing import FakeRunner, RecordingPrinter
from handrail.testing.fake_runner import Call

pytestmark = pytest.mark.unit

SYSTEM = '[build-system]\nrequires = ["hatchling"]\n'


def declare(root: Path, text: str) -> Path:
    (root / "pyproject.toml").write_text(text)
    return root


@pytest.mark.parametrize(("text", "kind"), [(SYSTEM, "wheel"), ("[project]\nname='x'\n", "tree"), ("", "tree")])
def test_a_build_system_makes_a_wheel_and_anything_else_a_tree(tmp_path: Path, text: str, kind: str) -> None:
    assert bundle_kind(Project(app="shop"), declare(tmp_path, text)) == kind


def test_a_package_can_be_shipped_as_a_tree(tmp_path: Path) -> None:
    assert bundle_kind(Project(app="shop", build=Build(kind="tree")), declare(tmp_path, SYSTEM)) == "tree"


def test_a_wheel_without_a_build_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \[build-system\]"):
        bundle_kind(Project(app="shop", build=Build(kind="wheel")), declare(tmp_path, ""))


def test_a_folder_without_pyproject_has_no_build_system(tmp_path: Path) -> None:
    assert not has_build_system(tmp_path)


@pytest.mark.parametrize(
    ("text", "commit", "version"),
    [
        ('[project]\nversion = "1.2+local"\n', "a" * 40, "1.2+local"),
        ('[project]\nversion = "../1"\n', "a" * 40, "a" * 12),
        ('[project]\ndynamic = ["version"]\n', "", "0"),
    ],
)
def test_a_trees_version_is_the_declared_one_or_its_commit(
    tmp_path: Path, text: str, commit: str, version: str
) -> None:
    assert project_version(declare(tmp_path, text), commit) == version


@pytest.mark.parametrize(
    ("required", "fits"), [(">=3.10", True), (">=3.11.4", True), (">=3.12", False), ("<3.11", False)]
)
def test_a_python_that_the_project_rules_out_is_refused(tmp_path: Path, required: str, fits: bool) -> None:
    declare(tmp_path, f'[project]\nrequires-python = "{required}"\n')
    target = choose_target("3.11", "")
    if fits:
        check_python(tmp_path, target)
        return
    with pytest.raises(ConfigError, match=f"requires Python {required}, the bundle is asked for Python 3.11"):
        check_python(tmp_path, target)


def test_a_broken_requires_python_is_one_line(tmp_path: Path) -> None:
    declare(tmp_path, '[project]\nrequires-python = "three"\n')
    with pytest.raises(ConfigError, match="requires-python is 'three'"):
        check_python(tmp_path, choose_target("", ""))


def uv_builds(*names: str, packed: tuple[str, ...] = ()) -> FakeRunner:
    def effect(call: Call) -> None:
        folder = Path(call.argv[call.argv.index("--out-dir") + 1])
        for name in names:
            if name.endswith(".whl"):
                (folder / name).write_text(name)
                continue
            with tarfile.open(folder / name, "w:gz") as sdist:
                for path in ("pyproject.toml", *packed):
                    sdist.addfile(tarfile.TarInfo(f"{name.removesuffix('.tar.gz')}/{path}"))

    runner = FakeRunner()
    runner.answer("uv", "build", effect=effect)
    return runner


def test_a_build_makes_wheel_and_sdist_dated_with_the_commit(tmp_path: Path, printer: RecordingPrinter) -> None:
    runner = uv_builds("shop-1.5-py3-none-any.whl", "shop-1.5.tar.gz")
    package = build_package(tmp_path, python=running_python(), epoch=EARLIEST + 5, run=runner, printer=printer)
    assert package.version == "1.5"
    assert package.wheel.read_text() == "shop-1.5-py3-none-any.whl"
    assert package.sdist.name == "shop-1.5.tar.gz"
    (call,) = runner.calls
    assert call.env is not None
    assert call.env["SOURCE_DATE_EPOCH"] == str(EARLIEST + 5)


def test_the_last_builds_are_kept_and_older_ones_go(tmp_path: Path, printer: RecordingPrinter) -> None:
    for number in range(8):
        runner = uv_builds(f"shop-{number}-py3-none-any.whl", f"shop-{number}.tar.gz")
        package = build_package(tmp_path, python=running_python(), epoch=1, run=runner, printer=printer)
    assert package.wheel.exists()
    assert len(list((tmp_path / ".handrail/cache/built").iterdir())) == 5


def test_builds_at_the_same_time_do_not_trip_over_each_other(tmp_path: Path, printer: RecordingPrinter) -> None:
    def build(number: int) -> bool:
        # Of every two the wheel is the same and the sdist is not.
        runner = uv_builds("shop-1-py3-none-any.whl", "shop-1.tar.gz", packed=(f"notes-{number % 2}",))
        package = build_package(tmp_path, python=running_python(), epoch=1, run=runner, printer=printer)
        with tarfile.open(package.sdist) as sdist:
            names = sdist.getnames()
        return package.wheel.exists() and f"shop-1/notes-{number % 2}" in names

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(build, range(80)))


@pytest.mark.parametrize("names", [[], ["a-1-py3-none-any.whl"], ["a-1-py3-none-any.whl", "b-1-py3-none-any.whl"]])
def test_a_build_without_one_wheel_and_one_sdist_fails_cleanly(
    tmp_path: Path, printer: RecordingPrinter, names: list[str]
) -> None:
    with pytest.raises(TaskFailedError, match="expected one of each"):
        build_package(tmp_path, python=running_python(), epoch=1, run=uv_builds(*names), printer=printer)
    assert list((tmp_path / ".handrail/cache/built").iterdir()) == []


@pytest.mark.parametrize("private", [".handrail/sandbox/client_key", ".env", "env/production.secrets.env"])
def test_an_sdist_that_took_in_what_must_stay_here_is_refused_and_deleted(
    tmp_path: Path, printer: RecordingPrinter, private: str
) -> None:
    runner = uv_builds("shop-1-py3-none-any.whl", "shop-1.tar.gz", packed=("src/shop.py", private))
    with pytest.raises(ConfigError, match=re.escape(f"would carry {private},")):
        build_package(tmp_path, python=running_python(), epoch=1, run=runner, printer=printer)
    assert list((tmp_path / ".handrail/cache/built").iterdir()) == []


def test_an_sdist_may_carry_the_contract_and_public_values(tmp_path: Path, printer: RecordingPrinter) -> None:
    packed = ("env/example.env", "env/production.env", "src/shop/.env.py")
    runner = uv_builds("shop-1-py3-none-any.whl", "shop-1.tar.gz", packed=packed)
    assert build_package(tmp_path, python=running_python(), epoch=1, run=runner, printer=printer).sdist.exists()


def test_a_wheel_for_another_platform_than_the_hosts_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "shop-1-cp311-cp311-win_amd64.whl"
    wheel.write_text("x")
    with pytest.raises(ConfigError, match=r"shop-1-cp311-cp311-win_amd64.whl does not fit Python 3\.11"):
        as_member(Package(wheel, wheel, "1"), choose_target("3.11", ""))
