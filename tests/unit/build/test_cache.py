from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from handrail.build.cache import LockCache, WheelCache, cache_folder, cache_key

pytestmark = pytest.mark.unit


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "x-1-py3-none-any.whl"
    path.write_bytes(b"wheel")
    return path


def stored(root: Path) -> Path:
    return next((root / ".handrail/cache/wheels").glob("*/*.whl"))


def test_a_stored_wheel_comes_back_as_a_member(tmp_path: Path, wheel: Path) -> None:
    cache = WheelCache(tmp_path)
    cache.store("key", wheel)
    member = WheelCache(tmp_path).find("key")
    assert member is not None
    assert (member.kind, member.path, member.size) == ("wheel", "x-1-py3-none-any.whl", 5)
    assert member.sha256 == hashlib.sha256(b"wheel").hexdigest()
    assert member.source is not None
    assert member.source.read_bytes() == b"wheel"
    assert not wheel.exists()


def test_an_unknown_key_has_no_wheel(tmp_path: Path) -> None:
    assert WheelCache(tmp_path).find("key") is None


@pytest.mark.security
def test_a_wheel_that_was_changed_is_thrown_away(tmp_path: Path, wheel: Path) -> None:
    cache = WheelCache(tmp_path)
    cache.store("key", wheel)
    stored(tmp_path).write_bytes(b"other")
    assert cache.find("key") is None
    assert not (tmp_path / ".handrail/cache/wheels/key").exists()


def test_a_wheel_that_was_only_touched_is_kept(tmp_path: Path, wheel: Path) -> None:
    cache = WheelCache(tmp_path)
    cache.store("key", wheel)
    stored(tmp_path).touch()
    assert cache.find("key") is not None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"file": 3}', "null"])
def test_a_damaged_entry_is_thrown_away(tmp_path: Path, wheel: Path, text: str) -> None:
    cache = WheelCache(tmp_path)
    cache.store("key", wheel)
    (tmp_path / ".handrail/cache/wheels/key/wheel.json").write_text(text)
    assert cache.find("key") is None


@pytest.mark.parametrize("name", ["wheel.json", "x-1-py3-none-any.whl"])
def test_an_entry_that_was_half_deleted_is_stored_anew(tmp_path: Path, wheel: Path, name: str) -> None:
    cache = WheelCache(tmp_path)
    cache.store("key", wheel)
    (tmp_path / ".handrail/cache/wheels/key" / name).unlink()
    assert cache.find("key") is None
    wheel.write_bytes(b"wheel")
    cache.store("key", wheel)
    assert cache.find("key") is not None


def test_of_two_builds_that_store_at_once_one_wins(tmp_path: Path, wheel: Path) -> None:
    cache = WheelCache(tmp_path)
    cache.store("key", wheel)
    wheel.write_bytes(b"later")
    cache.store("key", wheel)
    member = cache.find("key")
    assert member is not None
    assert member.sha256 == hashlib.sha256(b"wheel").hexdigest()


def test_a_lock_text_comes_back(tmp_path: Path) -> None:
    assert LockCache(tmp_path).find("key") is None
    LockCache(tmp_path).store("key", "flask==1\n")
    assert LockCache(tmp_path).find("key") == "flask==1\n"


def test_the_cache_keeps_itself_out_of_git(tmp_path: Path) -> None:
    assert (cache_folder(tmp_path) / ".gitignore").read_text() == "*\n"


def test_keys_differ_wherever_a_part_does() -> None:
    assert len({cache_key("a", "bc"), cache_key("ab", "c"), cache_key("a", "b", "c"), cache_key("abc")}) == 4
