"""What is uploaded is packed once for all hosts that lack the same."""

from __future__ import annotations

import hashlib
import random
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from handrail.deploy import parcels as parcels_module
from handrail.deploy.parcels import FRAME, Object, Parcels
from handrail.errors import TaskFailedError

pytestmark = pytest.mark.unit


def objects(folder: Path, count: int, size: int) -> list[Object]:
    source = random.Random(1)
    made = []
    for number in range(count):
        content = source.randbytes(size)
        path = folder / str(number)
        path.write_bytes(content)
        made.append((hashlib.sha256(content).hexdigest(), size, path))
    return made


def test_every_host_gets_the_same_bytes_and_they_are_packed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = objects(tmp_path, 7, FRAME - 11)
    packers = []
    make = zlib.compressobj
    monkeypatch.setattr(parcels_module.zlib, "compressobj", lambda level: packers.append(level) or make(level))
    with Parcels() as parcels, ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(lambda _: b"".join(parcels.frames(some, compressed=True)), range(8)))
    assert len(packers) == 1
    assert {zlib.decompress(each) for each in sent} == {b"".join(path.read_bytes() for _, _, path in some)}


def test_hosts_that_lack_different_objects_get_different_bytes(tmp_path: Path) -> None:
    some = objects(tmp_path, 3, 100)
    with Parcels() as parcels:
        all_, rest = (zlib.decompress(b"".join(parcels.frames(part, compressed=True))) for part in (some, some[1:]))
    assert (len(all_), len(rest)) == (300, 200)


def test_what_is_not_compressed_travels_as_it_is_in_frames_of_bounded_size(tmp_path: Path) -> None:
    some = objects(tmp_path, 2, 5 * FRAME // 2)
    with Parcels() as parcels:
        frames = list(parcels.frames(some, compressed=False))
    assert b"".join(frames) == b"".join(path.read_bytes() for _, _, path in some)
    assert max(map(len, frames)) < 2 * FRAME


def test_a_file_that_vanished_is_a_failure_that_names_it(tmp_path: Path) -> None:
    some = objects(tmp_path, 2, 100)
    some[1][2].unlink()
    with Parcels() as parcels, pytest.raises(TaskFailedError, match=r"cannot pack .*/1: no such file"):
        list(parcels.frames(some, compressed=True))
