"""A bundle as one file, for CI artifacts: a zip with ``manifest.json`` and ``objects/<sha256>``.

The names inside the zip are digests only, so unpacking it cannot write anywhere else whatever it holds; member paths
are data in the manifest, which `handrail.build.manifest` judges. The same bundle gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from handrail.build.bundle import Bundle, Member
from handrail.build.manifest import read_manifest
from handrail.errors import UsageError

_MANIFEST = "manifest.json"
_MAX_MANIFEST = 64 << 20
_CHUNK = 1 << 18
# Zip has no time before 1980; every member gets this one.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_bundle(bundle: Bundle, path: Path) -> None:
    """Write a bundle as one file, whole or not at all.

    Raises:
        UsageError: a member's bytes are no longer what they were when the bundle was built.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w") as archive:
            text = json.dumps(bundle.manifest(), sort_keys=True, indent=1)
            with archive.open(_entry(_MANIFEST, compressed=True), "w") as entry:
                entry.write(text.encode("ascii"))
            for member in bundle.objects():
                _write_object(archive, member)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_bundle(path: Path, workdir: Path) -> Bundle:
    """Read a bundle's file; the members' bytes are unpacked below ``workdir``, each digest verified.

    Raises:
        UsageError: there is no such file, it is no bundle, it was damaged, or it names something unsafe.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            bundle = read_manifest(_read_manifest(archive, path), str(path))
            expected = {_name(member) for member in bundle.objects()} | {_MANIFEST}
            held = [info.filename for info in archive.infolist()]
            if surplus := sorted(set(held) - expected):
                raise _damaged(path, f"it holds {surplus[0]!r}, which its manifest does not name")
            if len(held) != len(set(held)):
                raise _damaged(path, "it holds a name twice")
            if missing := sorted(expected - set(held)):
                raise _damaged(path, f"{missing[0]} is missing")
            places = {member.sha256: _read_object(archive, member, workdir, path) for member in bundle.objects()}
    except FileNotFoundError:
        raise UsageError(f"there is no bundle {path}", next_step="inv build") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be unpacked into {workdir}: {error.strerror or error}") from None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise _damaged(path, str(error) or type(error).__name__) from None
    members = (replace(member, source=places.get(member.sha256)) for member in bundle.members)
    return replace(bundle, members=tuple(members))


def _damaged(path: Path, why: str) -> UsageError:
    return UsageError(f"{path} is not a whole bundle: {why}", next_step="inv build, or fetch the file again")


def _name(member: Member) -> str:
    return f"objects/{member.sha256}"


def _entry(name: str, *, compressed: bool) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    info.external_attr = 0o644 << 16
    return info


def _write_object(archive: zipfile.ZipFile, member: Member) -> None:
    assert member.source is not None, member.path
    digest = hashlib.sha256()
    info = _entry(_name(member), compressed=member.kind == "file")
    info.file_size = member.size  # zipfile decides by it whether the entry needs 64-bit sizes
    try:
        with member.source.open("rb") as source, archive.open(info, "w") as entry:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                entry.write(chunk)
    except FileNotFoundError:
        raise _changed(member) from None
    if digest.hexdigest() != member.sha256:
        raise _changed(member)


def _changed(member: Member) -> UsageError:
    return UsageError(f"{member.path} changed while the bundle was being made", next_step="run it again")


def _read_manifest(archive: zipfile.ZipFile, path: Path) -> object:
    try:
        with archive.open(_MANIFEST) as entry:
            text = entry.read(_MAX_MANIFEST + 1)
    except KeyError:
        raise _damaged(path, f"it has no {_MANIFEST}") from None
    if len(text) > _MAX_MANIFEST:
        raise _damaged(path, f"its manifest is larger than {_MAX_MANIFEST >> 20} MiB")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _damaged(path, "its manifest is no JSON") from None


def _read_object(archive: zipfile.ZipFile, member: Member, workdir: Path, path: Path) -> Path:
    folder = workdir / "objects"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / member.sha256
    temporary = folder / f"{member.sha256}.{os.getpid()}.tmp"
    digest = hashlib.sha256()
    size = 0
    try:
        with archive.open(_name(member)) as entry, temporary.open("wb") as stream:
            # Never more than was announced, whatever the entry would unpack to.
            for chunk in _at_most(entry, member.size + 1):
                digest.update(chunk)
                size += len(chunk)
                stream.write(chunk)
        if size != member.size or digest.hexdigest() != member.sha256:
            raise _damaged(path, f"the content of {member.path!r} does not match its digest")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _at_most(entry: IO[bytes], limit: int) -> Iterator[bytes]:
    while limit > 0 and (chunk := entry.read(min(_CHUNK, limit))):
        limit -= len(chunk)
        yield chunk
