from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.build.bundle import Bundle, Member, bundle_digest
from handrail.build.manifest import find_problem, leaves_tree, read_manifest
from handrail.errors import UsageError

pytestmark = [pytest.mark.unit, pytest.mark.security]

DIGEST = "a" * 64


def file(path: str, **kw: Any) -> Member:
    return Member(**{"kind": "file", "path": path, "sha256": DIGEST, "size": 1, "mode": 0o644, **kw})


def link(path: str, target: str) -> Member:
    return Member("link", path, "", 0, 0o777, target=target)


def bundle(*members: Member, **changes: Any) -> dict[str, Any]:
    """Return a manifest whose digest is right, with ``changes`` made before it is computed."""
    words = {"app": "shop", "kind": "tree", "python": "", "platform": "", **changes}
    digest = bundle_digest(words["app"], words["kind"], words["python"], words["platform"], members)
    made = Bundle(
        digest=digest, version="1", commit="", branch="", dirty=False, members=members, project_wheel="", **words
    )
    return json.loads(json.dumps(made.manifest()))


def test_a_manifest_comes_back_as_the_bundle_that_wrote_it() -> None:
    wheel = Member("wheel", "x-1-py3-none-any.whl", "b" * 64, 3, 0o644)
    document = bundle(file("a/b.py", mode=0o755), link("c", "a/b.py"), wheel, python="3.11", platform="linux_x86_64")
    assert read_manifest(document, "x.bundle").manifest() == document


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../../x", "a//b", "./a", "", "a/", "a\0b", "a\nb", ".handrail/env", ".venv/x"]
)
@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_hostile_path_is_refused(kind: str, path: str) -> None:
    member = file(path) if kind == "file" else link(path, "x")
    with pytest.raises(UsageError, match="is not a bundle that can be deployed"):
        read_manifest(bundle(member), "x.bundle")


@pytest.mark.parametrize("name", ["../x.whl", "/x.whl", "a/x.whl", "x.txt", "-r.whl", ".x.whl", "x\n.whl", "x.whl\n"])
@pytest.mark.parametrize("kind", ["wheel", "tool"])
def test_a_hostile_wheel_name_is_refused(kind: str, name: str) -> None:
    with pytest.raises(UsageError, match="not the name of a wheel"):
        read_manifest(bundle(file(name, kind=kind)), "x.bundle")


@pytest.mark.parametrize(
    "members",
    [
        [file("a"), file("a", sha256="b" * 64)],
        [file("a"), link("a", "b")],
        [file("a"), file("a/b")],
        [link("a", "b"), file("a/x")],
        [file("a/x"), link("a", "b")],
        [link("a", "../x")],
        [link("a", "/etc")],
        [link("a", "")],
        [link("a", "b\0c")],
        [link("d/e/f", "../.."), link("a", "d/e/f/../x")],
        [file("a", mode=0o4755)],
        [file("a", mode=0o777)],
        [file("a", sha256="A" * 64)],
        [file("a", sha256="../../x")],
        [file("a", size=-1)],
        [file("a", target="b")],
        [file("a", kind="device")],
        [file("a"), file("b", size=2)],
        [Member("link", "a", DIGEST, 1, 0o777, target="b")],
        [file("a" * 2000)],
        [file("x-1-py3-none-any.whl", kind="wheel"), file("x-1-py3-none-any.whl", kind="wheel", sha256="b" * 64)],
        [file("a\ud800")],
        [link("a", "b\ud800")],
    ],
)
def test_members_that_make_no_release_are_refused(members: list[Member]) -> None:
    assert find_problem(members)
    with pytest.raises(UsageError):
        read_manifest(bundle(*members), "x.bundle")


@pytest.mark.parametrize(
    "members",
    [
        [file("a"), file("b")],
        [file("..a"), file("a..b/c")],
        [link("a/b", "../c"), file("c")],
        [link("a", "nowhere")],
        [link("a", ".")],
        [link("a", "b"), link("b", "a")],
        [file("x.whl"), file("x.whl", kind="wheel")],
        [file("caf\udce9")],
    ],
)
def test_members_that_make_a_release_pass(members: list[Member]) -> None:
    assert find_problem(members) == ""


def test_a_project_may_depend_on_the_tool_that_installs_it() -> None:
    members = [file("uv-1-py3-none-any.whl", kind=kind) for kind in ("wheel", "tool")]
    assert find_problem(members) == ""
    document = bundle(*members, python="3.11", platform="linux_x86_64")
    assert [member.sha256 for member in read_manifest(document, "x.bundle").objects()] == [DIGEST]


def test_a_link_is_followed_as_the_file_system_follows_it() -> None:
    links = {"a/deep/top": "../..", "x": "a/deep/top/../y", "ok": "a/deep/top/y", "loop": "loop/.."}
    assert leaves_tree("x", links)
    assert not leaves_tree("ok", links)
    assert not leaves_tree("loop", links)


@pytest.mark.parametrize(
    "changes",
    [
        {"app": "Shop; rm -rf /"},
        {"app": "shop\n"},
        {"python": "3.11 -c x"},
        {"python": "3.11\n"},
        {"platform": "linux x"},
        {"kind": "image"},
    ],
)
def test_a_word_that_is_none_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=f"its {next(iter(changes))} is"):
        read_manifest(bundle(file("a"), **changes), "x.bundle")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", "../1"),
        ("commit", "HEAD"),
        ("branch", "a\nb"),
        ("dirty", "no"),
        ("members", {}),
        ("members", [None]),
        ("members", [{"kind": "file"}]),
        ("project_wheel", "absent.whl"),
        ("project_wheel", ["x"]),
        ("format", 2),
        ("digest", "b" * 64),
        ("app", None),
    ],
)
def test_a_changed_field_is_refused(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=r"^x\.bundle is not a bundle that can be deployed"):
        read_manifest({**bundle(file("a")), name: value}, "x.bundle")


@pytest.mark.parametrize("change", [{"mode": True}, {"size": 1.0}, {"path": 3}, {"extra": 1}])
def test_a_member_field_of_another_type_is_refused(change: dict[str, object]) -> None:
    document = bundle(file("a"))
    document["members"][0].update(change)
    with pytest.raises(UsageError, match="malformed member"):
        read_manifest(document, "x.bundle")


def test_a_changed_member_is_noticed_by_the_digest() -> None:
    document = bundle(file("a"))
    document["members"][0]["mode"] = 0o755
    with pytest.raises(UsageError, match="its digest says"):
        read_manifest(document, "x.bundle")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(document=json_values, name=st.sampled_from(sorted(bundle(file("a")))), value=json_values)
def test_no_document_ends_in_a_traceback(document: object, name: str, value: object) -> None:
    for candidate in (document, {**bundle(file("a")), name: value}):
        with suppress(UsageError):
            read_manifest(candidate, "x.bundle")


@given(path=st.text(alphabet="a./\0\n\ud800", max_size=12), target=st.text(alphabet="a./", max_size=12))
def test_whatever_passes_stays_inside_the_release(path: str, target: str) -> None:
    import posixpath

    for member in (file(path), link(path, target)):
        if not find_problem([member]):
            assert not path.startswith("/")
            assert posixpath.normpath(path) == path
            place = posixpath.normpath(posixpath.join(posixpath.dirname(path), member.target))
            assert place.split("/")[0] != ".."
