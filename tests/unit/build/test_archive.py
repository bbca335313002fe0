from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from handrail.build.archive import read_bundle, write_bundle
from handrail.build.bundle import Bundle, Member, bundle_digest
from handrail.errors import UsageError

pytestmark = pytest.mark.unit


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    sources = tmp_path / "sources"
    sources.mkdir()
    members = []
    for name, content in {"a.py": b"print(1)", "b.py": b"print(1)", "empty": b"", "big": b"x" * 600_000}.items():
        (sources / name).write_bytes(content)
        sha = hashlib.sha256(content).hexdigest()
        members.append(Member("file", name, sha, len(content), 0o644, source=sources / name))
    members.append(Member("link", "c.py", "", 0, 0o777, target="a.py"))
    return Bundle(
        digest=bundle_digest("shop", "tree", "", "", members),
        app="shop",
        version="1.0",
        kind="tree",
        commit="c" * 40,
        branch="main",
        dirty=False,
        python="",
        platform="",
        members=tuple(members),
        project_wheel="",
    )


Rewrite = Callable[[dict[str, bytes]], None]


def tampered(path: Path, change: Rewrite) -> Path:
    """Return a copy of a bundle file whose entries were changed."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    copy = path.with_name("tampered.bundle")
    with zipfile.ZipFile(copy, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return copy


def test_a_bundle_comes_back_from_its_file(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "dist" / bundle.file_name
    write_bundle(bundle, file)
    again = read_bundle(file, tmp_path / "work")
    assert again.manifest() == bundle.manifest()
    for member, original in zip(again.members, bundle.members, strict=True):
        if member.kind == "file":
            assert member.source is not None
            assert original.source is not None
            assert member.source.read_bytes() == original.source.read_bytes()


def test_the_same_bundle_makes_the_same_file(bundle: Bundle, tmp_path: Path) -> None:
    for name in ("1", "2"):
        write_bundle(bundle, tmp_path / name)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_equal_contents_are_stored_once(bundle: Bundle, tmp_path: Path) -> None:
    write_bundle(bundle, tmp_path / "b")
    with zipfile.ZipFile(tmp_path / "b") as archive:
        assert len(archive.namelist()) == 1 + 3


def test_a_file_that_changes_meanwhile_leaves_no_bundle_behind(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "sources" / "big").write_bytes(b"other")
    with pytest.raises(UsageError, match="big changed while the bundle was being made"):
        write_bundle(bundle, tmp_path / "dist" / "x.bundle")
    assert list((tmp_path / "dist").iterdir()) == []


def test_a_missing_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no bundle") as caught:
        read_bundle(tmp_path / "absent.bundle", tmp_path)
    assert caught.value.next_step == "inv build"


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 100])
def test_a_file_that_is_no_bundle_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.bundle").write_bytes(content)
    with pytest.raises(UsageError, match=r"x.bundle is not a whole bundle"):
        read_bundle(tmp_path / "x.bundle", tmp_path / "work")


def test_a_cut_file_is_one_line(bundle: Bundle, tmp_path: Path) -> None:
    write_bundle(bundle, tmp_path / "x.bundle")
    whole = (tmp_path / "x.bundle").read_bytes()
    for size in range(0, len(whole), max(1, len(whole) // 40)):
        (tmp_path / "cut.bundle").write_bytes(whole[:size])
        with pytest.raises(UsageError):
            read_bundle(tmp_path / "cut.bundle", tmp_path / "work")


@pytest.mark.security
def test_a_flipped_byte_is_noticed_wherever_it_matters(bundle: Bundle, tmp_path: Path) -> None:
    write_bundle(bundle, tmp_path / "x.bundle")
    whole = bytearray((tmp_path / "x.bundle").read_bytes())
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        (tmp_path / "flipped.bundle").write_bytes(changed)
        try:
            again = read_bundle(tmp_path / "flipped.bundle", tmp_path / "work")
        except UsageError:
            continue
        assert again.digest == bundle.digest  # a byte that carries no meaning, such as a date's


@pytest.mark.security
def test_changed_content_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    write_bundle(bundle, tmp_path / "x.bundle")
    name = f"objects/{bundle.members[0].sha256}"

    def change(entries: dict[str, bytes]) -> None:
        entries[name] = b"print(2)"

    with pytest.raises(UsageError, match=r"content of 'a.py' does not match its digest"):
        read_bundle(tampered(tmp_path / "x.bundle", change), tmp_path / "work")
    assert list((tmp_path / "work" / "objects").glob("*.tmp")) == []


@pytest.mark.security
def test_content_that_unpacks_to_more_than_announced_is_not_unpacked(bundle: Bundle, tmp_path: Path) -> None:
    write_bundle(bundle, tmp_path / "x.bundle")
    name = f"objects/{bundle.members[0].sha256}"

    def change(entries: dict[str, bytes]) -> None:
        entries[name] = b"\0" * 50_000_000

    with pytest.raises(UsageError, match="does not match"):
        read_bundle(tampered(tmp_path / "x.bundle", change), tmp_path / "work")


@pytest.mark.security
@pytest.mark.parametrize("name", ["../evil", "/evil", "objects/../../evil", "objects/" + "b" * 64])
def test_an_entry_that_the_manifest_does_not_name_is_refused(bundle: Bundle, tmp_path: Path, name: str) -> None:
    write_bundle(bundle, tmp_path / "x.bundle")

    def change(entries: dict[str, bytes]) -> None:
        entries[name] = b"x"

    with pytest.raises(UsageError, match="which its manifest does not name"):
        read_bundle(tampered(tmp_path / "x.bundle", change), tmp_path / "work")
    assert not (tmp_path / "evil").exists()


@pytest.mark.security
@pytest.mark.parametrize("path", ["../evil", "/tmp/evil", ".handrail/env"])
def test_a_hostile_member_path_is_refused(bundle: Bundle, tmp_path: Path, path: str) -> None:
    write_bundle(bundle, tmp_path / "x.bundle")

    def change(entries: dict[str, bytes]) -> None:
        manifest = json.loads(entries["manifest.json"])
        manifest["members"][0]["path"] = path
        members = [Member(**member) for member in manifest["members"]]
        manifest["digest"] = bundle_digest("shop", "tree", "", "", members)
        entries["manifest.json"] = json.dumps(manifest).encode()

    with pytest.raises(UsageError, match=r"file '.*': "):
        read_bundle(tampered(tmp_path / "x.bundle", change), tmp_path / "work")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"[" * 200_000])
def test_a_broken_manifest_is_one_line(bundle: Bundle, tmp_path: Path, text: bytes) -> None:
    write_bundle(bundle, tmp_path / "x.bundle")

    def change(entries: dict[str, bytes]) -> None:
        entries["manifest.json"] = text

    with pytest.raises(UsageError):
        read_bundle(tampered(tmp_path / "x.bundle", change), tmp_path / "work")


@pytest.mark.parametrize("name", ["manifest.json", "object"])
def test_a_missing_entry_is_named(bundle: Bundle, tmp_path: Path, name: str) -> None:
    write_bundle(bundle, tmp_path / "x.bundle")
    name = name if name != "object" else f"objects/{bundle.members[0].sha256}"

    def change(entries: dict[str, bytes]) -> None:
        del entries[name]

    with pytest.raises(UsageError, match=name):
        read_bundle(tampered(tmp_path / "x.bundle", change), tmp_path / "work")
