"""Blue-green on a host with systemd, behind Caddy and nginx: the old instance serves until the new one is proved."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from handrail.testing.container import ContainerHost, other_site
from handrail.testing.host import wait_until
from handrail.testing.project import DeployProject
from handrail.testing.visitors import Visitors

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SITES = {"caddy": 8081, "nginx": 8082}


@pytest.fixture
def project(new_project, container_host: ContainerHost, proxy: str) -> DeployProject:
    test = {
        "strategy": "blue-green",
        "proxy": {"kind": proxy, "site": f":{SITES[proxy]}"},
        "watch": 0.5,
        "drain": 5,
        "lease": 5,
    }
    made: DeployProject = new_project(container_host, test=test)
    return made


def visitors_of(host: ContainerHost, port: int) -> Visitors:
    """Visitors on kept and on new connections, some hundreds of requests a second."""
    return Visitors([host], port, version=lambda body: body.partition('"version": "')[2].partition('"')[0], pause=0.004)


def served(project: DeployProject, proxy: str) -> str:
    answer = project.hosts[0].get(SITES[proxy])
    return str(answer.json()["version"]) if answer.status == 200 else ""


def units(host: ContainerHost, app: str) -> set[str]:
    text = host.run_as_root(f"systemctl list-units --plain --no-legend --state=active '{app}-*'")
    return {line.split()[0].removeprefix(f"{app}-").removesuffix(".service") for line in text.splitlines()}


def test_visitors_notice_no_deploy_and_no_rollback(
    project: DeployProject, container_host: ContainerHost, proxy: str
) -> None:
    project.release("one")
    first = project.deploy()["release"]
    assert served(project, proxy) == "one"
    assert units(container_host, project.app) == {"web-blue"}

    with visitors_of(container_host, SITES[proxy]) as visitors:
        project.release("two")
        project.deploy()
        assert units(container_host, project.app) == {"web-green"}, "the old instance was drained and stopped"
        project.release("three")
        project.deploy()
        back = project.rollback()
        before = visitors.answers["two", 200]
        wait_until(lambda: visitors.answers["two", 200] > before, "an answer after the rollback", 10)

    assert visitors.failures == []
    assert {"one", "two", "three"} <= visitors.versions
    assert back["hosts"][0]["from"] != first
    status = project.status()
    assert status["state"] == "ok"
    assert status["hosts"][0]["slot"] in ("blue", "green")


def test_a_new_release_that_is_not_healthy_never_meets_a_visitor(
    project: DeployProject, container_host: ContainerHost, proxy: str
) -> None:
    project.release("one")
    project.deploy()
    pid = project.status()["hosts"][0]["service"]["pid"]
    container_host.run("echo two > ~/sick")
    project.release("two")

    with visitors_of(container_host, SITES[proxy]) as visitors:
        document = project.deploy(expect=5)

    assert visitors.failures == []
    assert visitors.versions == {"one"}
    assert document["hosts"][0]["state"].startswith("returned to")
    status = project.status()
    assert status["state"] == "ok"
    assert status["hosts"][0]["service"]["pid"] == pid, "the old instance was never touched"
    assert units(container_host, project.app) == {"web-blue"}

    container_host.run("rm ~/sick")
    project.deploy()
    assert served(project, proxy) == "two"


@pytest.mark.parametrize("moment", ["before_activate", "after_activate", "before_commit"])
def test_a_client_that_dies_leaves_the_old_release_serving(
    moment: str, project: DeployProject, container_host: ContainerHost, proxy: str
) -> None:
    project.release("one")
    project.deploy()
    mark: Callable[..., object] = project.pause_at  # type: ignore[attr-defined]
    project.release("two")
    paused = mark(moment)
    process = project.start("deploy", "--env", "test", "--yes")
    wait_until(lambda: paused.exists() or process.poll() is not None, "the pause", 60)  # type: ignore[attr-defined]

    with visitors_of(container_host, SITES[proxy]) as visitors:
        process.kill()
        process.communicate()
        wait_until(lambda: not project.status()["hosts"][0]["lock"]["held"], "the host to return by itself", 60)

    assert visitors.failures == []
    assert served(project, proxy) == "one"
    assert project.status()["state"] == "ok"
    assert units(container_host, project.app) == {"web-blue"}
    project.configure(hooks={moment: []})
    project.commit("go on")
    project.deploy()
    assert served(project, proxy) == "two"


def deploy_by(project: DeployProject, strategy: str, version: str) -> None:
    project.configure(test={"strategy": strategy})
    project.release(version)  # type: ignore[attr-defined]
    project.deploy()


def test_a_host_changes_from_one_strategy_to_the_other_and_back_unnoticed(
    project: DeployProject, container_host: ContainerHost, proxy: str
) -> None:
    deploy_by(project, "restart", "one")
    assert units(container_host, project.app) == {"web"}
    with visitors_of(container_host, SITES[proxy]) as visitors:
        deploy_by(project, "blue-green", "two")
        assert served(project, proxy) == "two"
        assert units(container_host, project.app) == {"web-green"}, "blue's port was the old one's"
        deploy_by(project, "restart", "three")
        assert served(project, proxy) == "three"
        assert units(container_host, project.app) == {"web"}
        enabled = f"systemctl list-unit-files --no-legend --state=enabled '{project.app}-*' | cut -d' ' -f1"
        assert container_host.run_as_root(enabled).split() == [f"{project.app}-web.service"], "one starts at boot"
    assert visitors.failures == []


def test_a_proxy_that_is_not_set_up_is_found_before_anything_is_changed(
    project: DeployProject, container_host: ContainerHost, proxy: str
) -> None:
    programs = "/usr/bin/caddy /usr/sbin/nginx"
    container_host.run_as_root(f"systemctl stop {proxy}; for p in {programs}; do mv $p $p.off; done")
    try:
        project.release("one")
        document = project.deploy(expect=3)
    finally:
        container_host.run_as_root(f"for p in {programs}; do mv $p.off $p; done; systemctl start {proxy}")
    assert "proxy cannot be used" in document["error"]["message"]
    assert project.status()["state"] == "empty"


UPGRADING = """\
import http.server
import os


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.headers.get("Upgrade") == "echo" and self.headers.get("Connection", "").lower() == "upgrade":
            self.send_response(101)
            self.send_header("Upgrade", "echo")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            while line := self.rfile.readline():
                self.wfile.write(line)
        else:
            body = self.headers["Host"].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_the_proxy_passes_on_upgraded_connections_and_the_name_that_was_asked_for(
    project: DeployProject, container_host: ContainerHost, proxy: str
) -> None:
    project.write("serve.py", UPGRADING)
    project.commit()
    project.deploy()
    port = SITES[proxy]
    assert container_host.get(port).text == f"{container_host.address}:{port}"
    with socket.create_connection((container_host.address, port), 10) as connection:
        stream = connection.makefile("rwb")
        stream.write(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        stream.flush()
        assert b" 101 " in stream.readline()
        while stream.readline().strip():
            pass
        stream.write(b"hello\n")
        stream.flush()
        assert stream.readline() == b"hello\n"


def workers(host: ContainerHost) -> list[str]:
    return host.run_as_root("pgrep -P $(cat /run/nginx.pid)").split()


@pytest.mark.parametrize("proxy", ["nginx"], indirect=True)
def test_nginx_is_not_reloaded_to_switch_and_looks_again_for_each_request(
    project: DeployProject, container_host: ContainerHost, proxy: str
) -> None:
    kept = "/etc/nginx/conf.d/handrail-test-kept.conf"
    container_host.run_as_root(
        f"echo 'open_file_cache max=100 inactive=60s; open_file_cache_valid 60s;' > {kept}; systemctl reload nginx"
    )
    project.release("one")
    project.deploy()
    before = workers(container_host)
    assert served(project, proxy) == "one"
    project.release("two")
    project.deploy()
    assert served(project, proxy) == "two"
    project.rollback()
    assert served(project, proxy) == "one"
    assert workers(container_host) == before


@pytest.mark.parametrize("proxy", ["nginx"], indirect=True)
def test_an_nginx_that_cannot_listen_fails_the_deploy(
    project: DeployProject, container_host: ContainerHost, proxy: str
) -> None:
    port = SITES[proxy]
    with other_site(container_host, port):
        project.release("one")
        document = project.deploy(expect=5)
    assert f"but http://127.0.0.1:{port} does not answer with it" in document["error"]["message"]
    assert project.status()["state"] == "empty"
    project.deploy()
    assert served(project, proxy) == "one"


def test_a_file_that_the_proxy_does_not_take_is_not_left_there(
    project: DeployProject, container_host: ContainerHost, proxy: str
) -> None:
    # The proxy takes either file, and not both: they say different things of one thing.
    other, text, test = {
        "nginx": ("/etc/nginx/conf.d/handrail-other.conf", "upstream handrail_%s { server 127.0.0.1:9; }", "nginx -t"),
        "caddy": ("/etc/caddy/handrail/other.caddy", ":8081 {\n}", "caddy adapt --config /etc/caddy/Caddyfile"),
    }[proxy]
    container_host.run_as_root(f"cat > {other}", stdin=text.replace("%s", project.app) + "\n")
    project.release("one")
    document = project.deploy(expect=5)
    assert "the proxy refused the switch" in document["error"]["message"]
    container_host.run_as_root(test)
    container_host.run_as_root(f"rm {other}")
    project.deploy()
    assert served(project, proxy) == "one"
