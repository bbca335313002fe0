from __future__ import annotations

from pathlib import Path

import pytest

from handrail.build.platforms import WheelTarget
from handrail.build.requirements import LocalPackage, Requirements, parse_requirements
from handrail.build.wheelhouse import choose
from handrail.errors import ConfigError

pytestmark = pytest.mark.unit

H1, H2 = "sha256:" + "1" * 64, "sha256:" + "2" * 64
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def parse(text: str, folder: Path = Path("/nowhere")) -> Requirements:
    return parse_requirements(text, folder, "requirements.txt")


def test_a_locked_line_is_name_text_marker_and_hashes() -> None:
    text = f"Foo.Bar[b,a]==1.0 ; python_version < '3.12' \\\n    --hash={H2} \\\n    --hash={H1}\n"
    (item,) = parse(text).locked
    assert (item.name, item.text) == ("foo-bar", "Foo.Bar[a,b]==1.0")
    assert item.marker == 'python_version < "3.12"'
    assert item.hashes == (H1, H2)
    assert item.line() == f"Foo.Bar[a,b]==1.0 --hash={H1} --hash={H2}"


def test_comments_and_blank_lines_say_nothing() -> None:
    text = f"# head\n\nfoo==1 --hash={H1}  # why\n    # via bar\n"
    requirements = parse(text)
    assert [item.text for item in requirements.locked] == ["foo==1"]
    assert requirements.is_locked


def test_a_line_without_a_hash_is_loose() -> None:
    requirements = parse(f"foo==1\nbar>=2\nbaz==3 --hash={H1}\n")
    assert requirements.loose == ("foo==1", "bar>=2")
    assert not requirements.is_locked


def test_a_commit_of_a_repository_is_locked_and_a_branch_is_not() -> None:
    requirements = parse(f"foo @ git+https://example.org/foo@{COMMIT}\nbar @ git+https://example.org/bar@main\n")
    assert [item.text for item in requirements.locked] == [f"foo @ git+https://example.org/foo@{COMMIT}"]
    assert len(requirements.loose) == 1


def test_a_url_with_a_hash_is_locked() -> None:
    (item,) = parse(f"foo @ https://example.org/foo-1-py3-none-any.whl --hash={H1}").locked
    assert item.url == "https://example.org/foo-1-py3-none-any.whl"


@pytest.mark.parametrize(
    "line", ["-r base.txt", "--requirement base.txt", "-c base.txt", "-rbase.txt", "--constraint=base.txt"]
)
def test_another_file_is_nested(line: str) -> None:
    requirements = parse(line, Path("/project"))
    assert requirements.nested == (Path("/project/base.txt"),)
    assert not requirements.is_locked


def test_options_go_to_pip_as_they_are() -> None:
    lines = [
        "--index-url https://${USER}:${TOKEN}@example.org/simple",
        "--extra-index-url=https://example.org",
        "--pre",
    ]
    assert parse("\n".join(lines)).options == tuple(lines)


def test_a_folder_of_links_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    assert parse("-f ./wheels\n--find-links https://example.org/w", tmp_path).options == (
        f"-f {tmp_path / 'wheels'}",
        "--find-links https://example.org/w",
    )


@pytest.mark.parametrize(
    "line",
    [
        "./my lib",
        "-e ./my lib",
        "--editable=./my lib",
        "file:./my%20lib",
        "lib @ file://{}/my%20lib",
        "lib @ file://{}/my%20lib ; python_version > '3'",
        "./my lib ; python_version>'3'",
        "./my lib; python_version>'3'",
        "-e ./my lib  ; python_version>'3' --hash=sha256:1",
    ],
)
def test_a_local_package_is_a_folder_and_keeps_its_marker(tmp_path: Path, line: str) -> None:
    (tmp_path / "my lib").mkdir()
    (found,) = parse(line.format(tmp_path), tmp_path).local
    assert found == LocalPackage(tmp_path / "my lib", 'python_version > "3"' if ";" in line else "")


def test_a_marker_that_is_none_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    with pytest.raises(ConfigError, match=r"^requirements.txt:1: pyton>'3' is not a marker"):
        parse("./lib ; pyton>'3'", tmp_path)


def test_the_home_of_a_user_who_does_not_exist_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^requirements.txt:1: ~nosuch/lib is neither a folder with a package"):
        parse("~nosuch/lib", tmp_path)


def test_a_local_package_that_is_not_there_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^requirements.txt:2: ./lib is neither a folder with a package nor a wheel"):
        parse("\n./lib", tmp_path)


@pytest.mark.security
def test_a_line_that_cannot_be_read_is_named_by_number_and_not_shown() -> None:
    with pytest.raises(ConfigError, match=r"^requirements.txt:3: not a requirement") as caught:
        parse("\n# x\n!! https://me:s3cret@example.org\n")
    assert "s3cret" not in caught.value.message


def chosen(text: str, python: str, platform: str = "manylinux_2_28_x86_64") -> list[str]:
    return [item.text for item in choose(parse(text).locked, WheelTarget(python, platform, native=False))]


def test_markers_choose_for_the_target() -> None:
    text = (
        f"tomli==2 ; python_version < '3.11' --hash={H1}\n"
        f"appnope==1 ; sys_platform == 'darwin' --hash={H1}\n"
        f"greenlet==3 ; platform_machine == 'x86_64' --hash={H1}\n"
        f"always==1 --hash={H1}\n"
    )
    assert chosen(text, "3.12") == ["always==1", "greenlet==3"]
    assert chosen(text, "3.10", "macosx_14_0_arm64") == ["always==1", "appnope==1", "tomli==2"]


def test_what_any_patch_release_of_the_target_needs_travels() -> None:
    text = f"async-timeout==5 ; python_full_version < '3.11.3' --hash={H1}\n"
    assert chosen(text, "3.11") == ["async-timeout==5"]
    assert chosen(text, "3.12") == []


def test_of_a_fork_on_the_patch_release_the_newest_decides() -> None:
    text = f"x==1 ; python_full_version < '3.11.3' --hash={H1}\nx==2 ; python_full_version >= '3.11.3' --hash={H2}\n"
    assert chosen(text, "3.11") == ["x==2"]
