"""Where a sandbox is, and where it cannot be."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from handrail.errors import UsageError
from handrail.sandbox.places import LONGEST_SOCKET, Places, write_private

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ["50%", "a;b", "it's", "[x]", "a*", "$HOME", "two\nlines", "{x}"])
def test_a_folder_whose_name_means_something_to_a_config_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="a sandbox cannot be in a folder with"):
        Places.of(tmp_path / name)


def test_a_folder_with_spaces_and_accents_is_accepted(tmp_path: Path) -> None:
    places = Places.of(tmp_path / "meine Ordner" / "été")

    assert places.home.parent.name == "sandbox"


def test_sockets_stay_in_the_sandbox_where_its_path_is_short() -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        places = Places(Path(short))
        run = places.make_run_folder()

        assert run.parent == places.folder
        assert run.stat().st_mode & 0o777 == 0o700


def test_sockets_move_to_a_short_private_folder_where_the_path_is_long(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()

    run = Places(folder).make_run_folder()

    try:
        assert len(os.fsencode(run)) <= LONGEST_SOCKET
        assert run.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(run)


def test_sockets_of_an_earlier_run_are_removed(tmp_path: Path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        places = Places(Path(short))
        (places.make_run_folder() / "caddy.sock").touch()

        assert list(places.make_run_folder().iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '"up"'])
def test_a_damaged_state_reads_as_none(tmp_path: Path, text: str) -> None:
    places = Places(tmp_path)
    places.state.write_text(text)

    assert places.read_state() == {}


@pytest.mark.security
def test_a_private_file_is_private_whatever_the_umask_and_the_old_file_were(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    before = os.umask(0)
    try:
        write_private(path, "new")
    finally:
        os.umask(before)

    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
