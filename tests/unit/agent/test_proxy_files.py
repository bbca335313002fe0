"""Which instance the proxy on a host serves, by its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from handrail.agent.proxy import Proxy
from handrail.runtime import proxy, proxy_spec

pytestmark = pytest.mark.unit


@pytest.fixture
def nginx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    monkeypatch.setattr(proxy, "NGINX_FOLDER", str(tmp_path))
    ports = {"web": 8000, "blue": 8000, "green": 8001}
    return Proxy(proxy_spec("nginx", app="shop", site=":80", ports=ports, is_root=True))


def test_the_flag_tells_which_instance_is_live(nginx: Proxy, tmp_path: Path) -> None:
    (tmp_path / "handrail-shop.conf").write_text(nginx.spec["content"])
    assert nginx.live_port() == 0
    (tmp_path / "handrail-shop.live-8001").touch()
    assert nginx.live_port() == 8001


def test_a_file_without_flags_names_the_live_instance_itself(nginx: Proxy, tmp_path: Path) -> None:
    (tmp_path / "handrail-shop.conf").write_text("upstream handrail_shop {\n    server 127.0.0.1:8001;\n}\n")
    assert nginx.live_port() == 8001
