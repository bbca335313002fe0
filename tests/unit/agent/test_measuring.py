"""Reading a proxy's log while it grows and rotates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handrail.agent.measuring import Counting, parse_caddy, parse_nginx

pytestmark = pytest.mark.unit


def caddy(port: int, status: int = 200, seconds: float = 0.01) -> str:
    return json.dumps({"status": status, "duration": seconds, "resp_headers": {"X-Handrail-Instance": [str(port)]}})


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_text(caddy(8000) + "\n")
    return path


@pytest.fixture
def reader(log: Path) -> Iterator[Counting]:
    spec: dict[str, Any] = {"kind": "caddy", "canary": {"log": str(log)}}
    counting = Counting(spec, log.stat().st_ino, log.stat().st_size)
    yield counting
    counting.stream.close()


def counts(reader: Counting) -> dict[int, tuple[int, int]]:
    return {port: (count.requests, count.errors) for port, count in reader.read().items()}


def test_counting_begins_where_the_log_ended(log: Path, reader: Counting) -> None:
    assert counts(reader) == {}
    with log.open("a") as stream:
        stream.write(f"{caddy(8001, 500)}\n{caddy(8000)}\n{caddy(8001)[:20]}")
        stream.flush()
        assert counts(reader) == {8001: (1, 1), 8000: (1, 0)}
        stream.write(caddy(8001)[20:] + "\n")
        stream.flush()
        assert counts(reader) == {8001: (2, 1), 8000: (1, 0)}, "a line that was half written counts once, whole"


def test_a_rotation_loses_no_line(log: Path, reader: Counting) -> None:
    with log.open("a") as stream:
        stream.write(caddy(8001) + "\n")
    log.rename(log.with_name("log.1"))
    log.write_text(caddy(8001) + "\n")
    assert counts(reader) == {8001: (2, 0)}


def test_another_client_goes_on_counting_from_the_same_place(log: Path) -> None:
    begun = (log.stat().st_ino, log.stat().st_size)
    with log.open("a") as stream:
        stream.write(caddy(8001) + "\n")
    spec: dict[str, Any] = {"kind": "caddy", "canary": {"log": str(log)}}
    other = Counting(spec, *begun)
    assert counts(other) == {8001: (1, 0)}
    other.stream.close()


@pytest.mark.parametrize("line", ["", "{", "[]", "{}", '{"resp_headers": null}', '{"status": 200, "resp_headers": {}}'])
def test_what_names_no_instance_is_not_counted(line: str) -> None:
    assert list(parse_caddy(line)) == []


def test_nginx_tells_each_instance_that_it_asked() -> None:
    assert list(parse_nginx("127.0.0.1:8001|200|200|0.012")) == [(8001, 200, 0.012)]
    line = "127.0.0.1:8001, 127.0.0.1:8000|502, 200|200|0.020"
    assert list(parse_nginx(line)) == [(8001, 502, 0.02), (8000, 200, 0.02)], "the visitor saw 200, the canary failed"
    assert list(parse_nginx("127.0.0.1:8001|-|499|0.5")) == [(8001, 499, 0.5)], "the visitor left"
    assert list(parse_nginx("-|-|400|0.0")) == []
    assert list(parse_nginx("nonsense")) == []
