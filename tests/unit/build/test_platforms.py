from __future__ import annotations

import platform
from typing import Any

import pytest

from handrail.build import check_wheels
from handrail.build.bundle import Bundle, Member
from handrail.build.platforms import (
    WheelTarget,
    choose_target,
    marker_environments,
    native_platform,
    platform_tags,
    running_python,
    target_tags,
    wheel_fits,
)
from handrail.errors import ConfigError

pytestmark = pytest.mark.unit

LINUX = {"pythons": {"3.11": "/usr/bin/python3.11"}, "system": "Linux", "machine": "x86_64", "libc": ["glibc", "2.31"]}


def bundle_of(*names: str, python: str = "3.11", tool: str = "") -> Bundle:
    members = [Member("wheel", name, "a" * 64, 1, 0o644) for name in names]
    members += [Member("tool", tool, "b" * 64, 1, 0o644)] if tool else []
    return Bundle("", "shop", "1", "tree", "", "", False, python, "linux_x86_64", tuple(members), "")


def test_without_a_word_the_target_is_this_interpreter_on_this_machine() -> None:
    assert choose_target("", "") == WheelTarget(running_python(), native_platform(), native=True)
    assert choose_target("", "").is_running


def test_naming_this_machine_is_the_same_as_naming_nothing() -> None:
    assert choose_target("3.12", native_platform()).native


@pytest.mark.parametrize("python", ["3", "2.7", "3.11.2", "python3.11", "3.11\n", "latest"])
def test_a_python_that_is_no_minor_version_is_refused(python: str) -> None:
    with pytest.raises(ConfigError, match=r"expected a minor version such as '3\.11'"):
        choose_target(python, "")


@pytest.mark.parametrize(
    "name", ["manylinux_2_28_aarch64", "manylinux2014_x86_64", "musllinux_1_2_x86_64", "macosx_14_0_arm64"]
)
def test_a_declared_platform_is_a_foreign_target(name: str) -> None:
    assert choose_target("3.12", name) == WheelTarget("3.12", name, native=False)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("linux_riscv64", "manylinux_2_28_riscv64"),
        ("win_amd64", "manylinux_2_28_x86_64"),
        ("manylinux_2_28", "manylinux_2_28_x86_64"),
    ],
)
def test_a_platform_without_wheels_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"such as '{nearest}'"):
        choose_target("3.12", name)


def test_a_manylinux_platform_takes_wheels_for_older_ones_too() -> None:
    tags = platform_tags("manylinux_2_28_x86_64")
    assert tags[0] == "manylinux_2_28_x86_64"
    assert {"manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"} <= set(tags)
    assert "manylinux_2_29_x86_64" not in tags
    assert platform_tags("manylinux2014_aarch64") == [
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
        "linux_aarch64",
    ]


@pytest.mark.parametrize(
    ("wheel", "fits"),
    [
        ("x-1-py3-none-any.whl", True),
        ("x-1-py2.py3-none-any.whl", True),
        ("x-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("x-1-cp39-abi3-manylinux_2_28_x86_64.whl", True),
        ("x-1-cp312-cp312-linux_x86_64.whl", True),
        ("x-1-cp311-cp311-manylinux_2_17_x86_64.whl", False),
        ("x-1-cp313-abi3-manylinux_2_17_x86_64.whl", False),
        ("x-1-cp312-cp312-manylinux_2_34_x86_64.whl", False),
        ("x-1-cp312-cp312-manylinux_2_17_aarch64.whl", False),
        ("x-1-cp312-cp312-musllinux_1_2_x86_64.whl", False),
        ("x-1-cp312-cp312-win_amd64.whl", False),
    ],
)
def test_a_wheel_fits_a_foreign_target_by_its_tags(wheel: str, fits: bool) -> None:
    assert wheel_fits(wheel, target_tags(WheelTarget("3.12", "manylinux_2_28_x86_64", native=False))) is fits


def test_a_pure_wheel_fits_here() -> None:
    assert wheel_fits("x-1-py3-none-any.whl", target_tags(choose_target("", "")))


@pytest.mark.parametrize(
    ("name", "arch", "system"),
    [
        ("manylinux_2_28_aarch64", "aarch64", "Linux"),
        ("manylinux2014_x86_64", "x86_64", "Linux"),
        ("musllinux_1_2_x86_64", "x86_64", "Linux"),
        ("macosx_14_0_arm64", "arm64", "Darwin"),
    ],
)
def test_markers_see_the_target_and_not_this_machine(name: str, arch: str, system: str) -> None:
    for environment in marker_environments(WheelTarget("3.13", name, native=False)):
        assert environment["platform_machine"] == arch
        assert environment["platform_system"] == system
        assert environment["python_version"] == "3.13"


def test_markers_see_this_machine_where_it_is_the_target() -> None:
    environment = marker_environments(choose_target("", ""))[0]
    assert environment["platform_machine"] == platform.machine()
    assert environment["platform_system"] == platform.system()


@pytest.mark.parametrize(
    "wheel",
    [
        "x-1-py3-none-any.whl",
        "x-1-cp311-cp311-manylinux_2_31_x86_64.whl",
        "x-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "x-1-cp38-abi3-manylinux1_x86_64.whl",
        "x-1-cp311-cp311-linux_x86_64.whl",
    ],
)
def test_a_host_takes_wheels_that_it_can_install(wheel: str) -> None:
    assert check_wheels(bundle_of(wheel), LINUX) == []


@pytest.mark.parametrize(
    "wheel",
    [
        "x-1-cp311-cp311-manylinux_2_34_x86_64.whl",
        "x-1-cp312-cp312-manylinux_2_17_x86_64.whl",
        "x-1-cp311-cp311-musllinux_1_2_x86_64.whl",
        "x-1-cp311-cp311-macosx_14_0_arm64.whl",
    ],
)
def test_a_wheel_that_a_host_cannot_install_is_named_with_the_host(wheel: str) -> None:
    (problem,) = check_wheels(bundle_of("ok-1-py3-none-any.whl", wheel), LINUX)
    assert problem.startswith(f"{wheel} does not fit: it is for cp31")
    assert problem.endswith("this host is Linux x86_64, glibc 2.31, Python 3.11")


def test_a_uv_for_another_machine_is_found() -> None:
    bundle = bundle_of("x-1-py3-none-any.whl", tool="uv-0.9-py3-none-manylinux_2_28_aarch64.whl")
    assert len(check_wheels(bundle, LINUX)) == 1


def test_a_missing_python_names_those_there_are() -> None:
    facts = {**LINUX, "pythons": {"3.9": "a", "3.10": "b"}}
    (problem,) = check_wheels(bundle_of("x-1-py3-none-any.whl"), facts)
    assert problem == "the bundle needs Python 3.11; found on this host: 3.9, 3.10"


def test_musl_hosts_take_musl_wheels() -> None:
    facts = {**LINUX, "libc": ["musl", "1.2.4"]}
    assert check_wheels(bundle_of("x-1-cp311-cp311-musllinux_1_2_x86_64.whl"), facts) == []
    assert len(check_wheels(bundle_of("x-1-cp311-cp311-manylinux_2_17_x86_64.whl"), facts)) == 1


def test_macos_hosts_take_macos_wheels() -> None:
    facts = {**LINUX, "system": "Darwin", "machine": "arm64", "libc": ["", ""]}
    names = ["x-1-cp311-cp311-macosx_11_0_arm64.whl", "y-1-cp311-cp311-macosx_10_9_universal2.whl"]
    assert check_wheels(bundle_of(*names), facts) == []
    assert len(check_wheels(bundle_of("x-1-cp311-cp311-macosx_10_9_x86_64.whl"), facts)) == 1


def test_an_unknown_c_library_rules_nothing_out() -> None:
    facts = {**LINUX, "libc": ["", ""]}
    assert check_wheels(bundle_of("x-1-cp311-cp311-manylinux_2_39_x86_64.whl"), facts) == []


def test_a_bundle_that_installs_nothing_fits_everywhere() -> None:
    facts: dict[str, Any] = {"pythons": {}, "system": "Plan9", "machine": "", "libc": []}
    assert check_wheels(bundle_of(python=""), facts) == []
