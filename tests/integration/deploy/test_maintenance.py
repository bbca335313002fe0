"""``inv maintenance`` with real proxies: what visitors get, whatever is deployed or restarted behind the page."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.host import wait_until
from handrail.testing.project import DeployProject

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SITES = {"caddy": 8081, "nginx": 8082}


def ask(host: ContainerHost, kind: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(host.address, SITES[kind], timeout=10)
    try:
        connection.request(method, "/any/path?x=1", headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def test_the_page_is_served_until_it_is_taken_away_whatever_is_deployed_behind_it(
    new_project, container_host: ContainerHost, proxy: str, tmp_path: Path
) -> None:
    test = {"strategy": "blue-green", "proxy": {"kind": proxy, "site": f":{SITES[proxy]}"}, "lease": 5}
    project: DeployProject = new_project(container_host, test=test)
    project.release("zero")
    early = project.inv("maintenance", "on", "--env", "test")
    assert early.returncode == 3
    assert "nothing is deployed here yet" in early.stdout + early.stderr
    project.release("one")
    project.deploy()
    assert ask(container_host, proxy)[0] == 200

    # A site that is declared and not deployed yet is not what visitors know.
    project.configure(test={"proxy": {"kind": proxy, "site": ":8083"}})
    page = tmp_path / "page.html"
    page.write_text("<h1>Back at noon — really</h1>\n", encoding="utf-8")
    done = project.inv("maintenance", "on", "--env", "test", "--page", str(page))
    assert done.returncode == 0, done
    for method, headers in (("GET", {}), ("POST", {}), ("GET", {"Range": "bytes=0-3", "If_None_Match": "*"})):
        wait_until(lambda m=method, h=headers: ask(container_host, proxy, m, **h)[0] == 503, "the page")
        status, told, body = ask(container_host, proxy, method, **headers)
        assert (status, body) == (503, page.read_text(encoding="utf-8")), method
        assert told["Retry-After"] == "120"
        assert told["Content-Type"] == "text/html; charset=utf-8"
        assert told["Cache-Control"] == "no-store"
    shown = project.inv("status", "--env", "test")
    assert "maintenance page since" in shown.stdout + shown.stderr

    project.configure(test={"proxy": test["proxy"]})
    project.release("two")
    project.deploy()
    container_host.run_as_root(f"systemctl restart {proxy}")
    assert ask(container_host, proxy)[0] == 503

    done = project.inv("maintenance", "off", "--env", "test")
    assert done.returncode == 0, done
    status, told, body = ask(container_host, proxy)
    assert status == 200
    assert '"version": "two"' in body
    assert "Retry-After" not in told
