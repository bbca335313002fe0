"""What the proxy is told when the maintenance page comes: nothing that was not deployed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.agent import proxy as agent_proxy
from handrail.agent.app import App
from handrail.agent.maintaining import maintenance
from handrail.agent.proxy import Proxy
from handrail.runtime import proxy, proxy_spec

pytestmark = pytest.mark.unit

PORTS = {"web": 8000, "blue": 8000, "green": 8001}


class Host:
    """A host with release 1-a behind an nginx that was told of it; `loaded` is the file that nginx goes by."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = folder / "handrail-shop.conf"
        self.page = folder / "handrail-shop.maintenance"
        app = App(str(folder), "shop")
        Path(app.release("1-a", ".handrail")).mkdir(parents=True)
        app.switch("1-a")
        self.app: Any = app
        monkeypatch.setattr(proxy, "NGINX_FOLDER", str(folder))
        monkeypatch.setattr(Proxy, "ask", lambda *_: self.loaded)
        monkeypatch.setattr(agent_proxy, "run", self.run)
        told = Path(app.release("1-a", ".handrail", "told.json"))
        told.write_text(json.dumps({"web": {"port": 8000}, "proxy": self.spec("old.example.com")}))
        Proxy(self.spec("old.example.com")).point("web")

    @staticmethod
    def spec(site: str) -> dict[str, Any]:
        return proxy_spec("nginx", app="shop", site=site, ports=PORTS, is_root=True)

    def run(self, argv: list[str], _timeout: int) -> tuple[int, list[str]]:
        if argv[-1] == "reload":
            self.loaded = self.file.read_text()
        return 0, []

    loaded = ""

    def turn_on(self, site: str) -> None:
        """Turn the page on while ``site`` is what is declared."""
        service: Any = {"strategy": "restart", "proxy": self.spec(site), "port": 8000}
        agent: Any = SimpleNamespace(app=self.app, lock_fd=0)
        maintenance(agent, {"service": service, "page": "<p>soon", "by": {}}, b"")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_a_site_that_is_declared_and_not_deployed_is_not_loaded_with_the_page(host: Host) -> None:
    before = host.file.read_text()
    host.turn_on("new.example.com")
    assert host.page.read_text() == "<p>soon"
    assert host.file.read_text() == host.loaded == before


def test_a_file_whose_reload_was_cut_off_is_loaded_with_the_page(host: Host) -> None:
    before, host.loaded = host.file.read_text(), "something older"
    host.turn_on("new.example.com")
    assert host.file.read_text() == host.loaded == before


def test_a_file_that_does_not_look_for_the_page_is_written_as_it_was_deployed(host: Host) -> None:
    before = host.file.read_text()
    host.file.write_text("upstream handrail_shop {\n    server 127.0.0.1:8000;\n}\n")
    host.turn_on("new.example.com")
    assert host.file.read_text() == host.loaded == before


def test_without_a_record_of_the_deploy_the_declared_file_brings_the_page(host: Host) -> None:
    Path(host.app.release("1-a", ".handrail", "told.json")).unlink()
    host.file.unlink()
    host.turn_on("new.example.com")
    assert "server_name new.example.com;" in host.loaded
