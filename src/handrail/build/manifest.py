"""What a manifest may say: the rules that a bundle is held to, whoever wrote it.

A bundle's file may come from a CI artifact, and what it names becomes paths on hosts: each word is checked before
it is used. The same rules hold when a bundle is built, so that one which was built can be read.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any

from handrail.build.bundle import FORMAT, Bundle, Member, bundle_digest
from handrail.errors import UsageError

_DIGEST = re.compile(r"^[0-9a-f]{64}$")
_WORDS = {
    "app": re.compile(r"^[a-z][a-z0-9_-]{0,62}$"),
    "version": re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+!-]{0,127}$"),
    "kind": re.compile(r"^(wheel|tree)$"),
    "commit": re.compile(r"^([0-9a-f]{40}|[0-9a-f]{64})?$"),
    "branch": re.compile(r"^[^\x00-\x20\x7f]{0,255}$"),
    "python": re.compile(r"^(3\.\d{1,2})?$"),
    "platform": re.compile(r"^[a-z0-9_]{0,64}$"),
    "digest": _DIGEST,
}
_WHEEL_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+!-]*\.whl$")
_MODES = {"file": (0o644, 0o755), "link": (0o777,), "wheel": (0o644,), "tool": (0o644,)}
# Folders that a host makes inside each release.
_OURS = (".handrail", ".venv")
_MAX_LINKS = 40


def path_problem(path: str) -> str:
    """Return why a release cannot hold this relative path, or ``""``."""
    parts = path.split("/")
    if not path or path.startswith("/"):
        return "it is not relative"
    if any(part in ("", ".", "..") for part in parts):
        return "it has an empty, '.' or '..' part"
    if problem := _name_problem(path):
        return problem
    if parts[0] in _OURS:
        return f"{parts[0]}/ is made on the host"
    return ""


def _name_problem(path: str) -> str:
    if any(character in path for character in "\0\n\r"):
        return "it holds a line break or a NUL character"
    try:
        # Bytes that are not UTF-8 are fine: git and the host's file system hold them, too.
        length = len(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return "it is no text that a file name can be"
    return "it is longer than 1024 bytes" if length > 1024 else ""


def find_problem(members: Iterable[Member]) -> str:
    """Return the first reason why these members cannot make a release together, or ``""``."""
    seen: set[tuple[str, str]] = set()
    links: dict[str, str] = {}
    folders: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for member in members:
        if problem := _member_problem(member):
            return f"{member.kind} {member.path!r}: {problem}"
        placed = member.kind in ("file", "link")
        # One wheel may be a dependency and the tool that installs it: a project that depends on uv itself.
        place = "release" if placed else member.kind
        if (place, member.path) in seen:
            return f"{member.path!r} is there twice"
        seen.add((place, member.path))
        if member.kind == "link":
            links[member.path] = member.target
        elif sizes.setdefault(member.sha256, member.size) != member.size:
            return f"{member.path!r} has another size than a member with the same digest"
        if placed:
            folder = posixpath.dirname(member.path)
            while folder and folder not in folders:
                folders[folder] = member.path
                folder = posixpath.dirname(folder)
    for folder, path in folders.items():
        if ("release", folder) in seen:
            return f"{path!r} lies below {folder!r}, which is no folder"
    for path in links:
        if leaves_tree(path, links):
            return f"link {path!r} points outside the release, to {links[path]!r}"
    return ""


def _member_problem(member: Member) -> str:
    if member.kind not in _MODES:
        return "unknown kind"
    if member.mode not in _MODES[member.kind]:
        return f"mode {member.mode:o}"
    if member.kind == "link":
        if not member.target:
            return "no target"
        if problem := _name_problem(member.target):
            return f"its target: {problem}"
        if member.sha256 or member.size:
            return "a link has no content"
        return path_problem(member.path)
    if not _DIGEST.fullmatch(member.sha256):
        return "malformed digest"
    if member.size < 0:
        return "negative size"
    if member.target:
        return "only a link has a target"
    if member.kind == "file":
        return path_problem(member.path)
    return "" if _WHEEL_NAME.fullmatch(member.path) else "not the name of a wheel"


def leaves_tree(path: str, links: Mapping[str, str]) -> bool:
    """Return whether following a link, and the links it meets on its way, can leave the tree's top.

    Not a matter of text alone: in ``a/link/..`` the ``..`` starts from where ``a/link`` points at.
    """
    place = path.split("/")[:-1]
    rest = links[path].split("/")[::-1]
    followed = 1
    if links[path].startswith("/"):
        return True
    while rest:
        part = rest.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not place:
                return True
            place.pop()
            continue
        place.append(part)
        target = links.get("/".join(place))
        if target is not None:
            followed += 1
            if followed > _MAX_LINKS:
                return False  # a loop: opening it fails, and leads nowhere
            if target.startswith("/"):
                return True
            place.pop()
            rest += target.split("/")[::-1]
    return False


def read_manifest(document: object, where: str) -> Bundle:
    """Return the bundle that a manifest describes, its members without a source.

    Raises:
        UsageError: it is no manifest, was made by a newer Handrail, names something unsafe, or its digest is wrong.
    """

    def refuse(why: str) -> UsageError:
        return UsageError(f"{where} is not a bundle that can be deployed: {why}", next_step="inv build")

    if not isinstance(document, dict):
        raise refuse("its manifest is no table")
    if document.get("format") != FORMAT:
        raise refuse(f"its manifest has format {document.get('format')!r}, expected {FORMAT}")
    for name, pattern in _WORDS.items():
        value = document.get(name)
        # fullmatch: with match, `$` would let a line break pass at the end.
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise refuse(f"its {name} is {str(value)[:80]!r}")
    if not isinstance(document.get("dirty"), bool) or not isinstance(document.get("members"), list):
        raise refuse("its manifest is incomplete")
    try:
        members = tuple(_member(entry) for entry in document["members"])
    except (TypeError, KeyError, ValueError):
        raise refuse("its manifest has a malformed member") from None
    if problem := find_problem(members):
        raise refuse(problem)
    project_wheel = document.get("project_wheel")
    if project_wheel not in ["", *(member.path for member in members if member.kind == "wheel")]:
        raise refuse("its project wheel is not among its members")
    words = {name: document[name] for name in _WORDS}
    expected = bundle_digest(words["app"], words["kind"], words["python"], words["platform"], members)
    if words["digest"] != expected:
        raise refuse(f"its digest says {words['digest'][:12]}, its members make {expected[:12]}")
    return Bundle(**words, dirty=document["dirty"], members=members, project_wheel=str(project_wheel))


def _member(entry: Mapping[str, Any]) -> Member:
    """Return a member; raises TypeError, KeyError or ValueError where a field is missing or of another type."""
    types = {"kind": str, "path": str, "sha256": str, "size": int, "mode": int, "target": str}
    if set(entry) != set(types) or any(type(entry[name]) is not kind for name, kind in types.items()):
        raise ValueError("malformed")
    return Member(**entry)
