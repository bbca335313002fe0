"""Which instance the proxy on a host serves, by its files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from handrail.agent import proxy as agent_proxy
from handrail.agent.proxy import Proxy
from handrail.runtime import proxy, proxy_spec

pytestmark = pytest.mark.unit

PORTS = {"web": 8000, "blue": 8000, "green": 8001}


@pytest.fixture
def nginx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    monkeypatch.setattr(proxy, "NGINX_FOLDER", str(tmp_path))
    return Proxy(proxy_spec("nginx", app="shop", site=":80", ports=PORTS, is_root=True))


@pytest.fixture
def caddy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(proxy, "CADDY_FOLDER", str(tmp_path))
    return Proxy(proxy_spec("caddy", app="shop", site=":80", ports=PORTS, is_root=True, shares=[5, 25]))


def test_the_flag_tells_which_instance_is_live(nginx: Proxy, tmp_path: Path) -> None:
    (tmp_path / "handrail-shop.conf").write_text(nginx.spec["content"])
    assert nginx.live_port() == 0
    (tmp_path / "handrail-shop.live-8001").touch()
    assert nginx.live_port() == 8001


def test_a_file_without_flags_names_the_live_instance_itself(nginx: Proxy, tmp_path: Path) -> None:
    (tmp_path / "handrail-shop.conf").write_text("upstream handrail_shop {\n    server 127.0.0.1:8001;\n}\n")
    assert nginx.live_port() == 8001


def test_a_returned_canary_loses_its_share_also_where_the_proxy_cannot_be_asked(
    caddy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.caddy").write_text(caddy.spec["content"])
    (tmp_path / "shop.live-8000").touch()
    before = caddy.standing()
    (tmp_path / "shop.share-25-8001").touch()
    monkeypatch.setattr(caddy, "ask", lambda _text="": "")
    caddy.restore(before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shop.caddy", "shop.live-8000"]


@pytest.mark.parametrize("wanted", ["shop.live-8000", "shop.live-8001"])
def test_of_two_flags_only_the_one_that_is_not_wanted_is_moved(
    caddy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    moved: list[list[str]] = []

    def run(argv: list[str], _timeout: int) -> tuple[int, list[str]]:
        moved.append(argv)
        return 0, []

    monkeypatch.setattr(agent_proxy, "run", run)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    flags = [str(tmp_path / name) for name in ("shop.live-8000", "shop.live-8001")]
    for flag in flags:
        Path(flag).touch()
    caddy.spec["root"] = True
    caddy.raise_flag(str(tmp_path / wanted), flags)
    other = next(flag for flag in flags if not flag.endswith(wanted))
    # The rules for sudo name no file that is moved onto itself.
    assert moved == [["sudo", "-n", "mv", "-f", other, str(tmp_path / wanted)]]
