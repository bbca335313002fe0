"""The maintenance page as a current Caddy serves it; those of distributions are in the hosts' own tests."""

from __future__ import annotations

import http.client
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from handrail.runtime import proxy, proxy_spec
from handrail.sandbox.proxy import find_caddy
from handrail.testing.host import free_port, wait_until

pytestmark = pytest.mark.integration

PORTS = {"web": 8000, "blue": 8000, "green": 8001}


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where a Caddy listens that serves the page."""
    port = free_port()
    monkeypatch.setattr(proxy, "CADDY_FOLDER", str(tmp_path))
    spec = proxy_spec("caddy", app="shop", site=f":{port}", ports=PORTS, is_root=True)
    Path(spec["page"]).write_text("<p>soon")
    file = tmp_path / "Caddyfile"
    file.write_text("{\n    admin off\n}\n" + spec["content"].replace(proxy.MARK, "0123456789abcdef"))
    argv = [find_caddy(), "run", "--config", str(file), "--adapter", "caddyfile"]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(argv, env={"HOME": str(tmp_path)}, stderr=log) as caddy,
    ):

        def answers() -> bool:
            assert caddy.poll() is None, (tmp_path / "log").read_text()
            try:
                return bool(ask(port, "GET"))
            except OSError:
                return False

        try:
            wait_until(answers, "Caddy")
            yield port
        finally:
            caddy.terminate()


def ask(port: int, method: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, "/any/path?x=1", body="x=1" if method == "POST" else None)
        answer = connection.getresponse()
        return answer.status, answer.headers["Retry-After"], answer.read().decode()
    finally:
        connection.close()


def test_whatever_is_asked_is_answered_with_the_page(port: int) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(port, method) == (503, "120", "<p>soon"), method
    assert ask(port, "HEAD") == (503, "120", "")
