"""A canary behind Caddy and nginx, with real load: the good one is promoted, the bad one returned, by the logs."""

from __future__ import annotations

import os
import signal
import zlib
from typing import Any

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.host import wait_until
from handrail.testing.project import DeployProject
from handrail.testing.visitors import Visitors

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SITES = {"caddy": 8084, "nginx": 8085}
# What a version does beside answering is in its name; the health check sees nothing of it.
SERVICE = """\
import http.server
import os
import random
import time

VERSION = "one"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        asked = self.path == "/"
        if asked and VERSION.startswith("slow"):
            time.sleep(1)
        fails = asked and VERSION.startswith("bad") and random.random() < 0.3
        body = VERSION.encode()
        self.send_response(500 if fails else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


def visitors_of(hosts: list[ContainerHost], port: int) -> Visitors:
    """Visitors at a steady pace, each request on a connection of its own."""
    return Visitors(hosts, port, kept=(False,) * 4, pause=0.01)


def release(project: Any, version: str) -> None:
    project.write("serve.py", SERVICE.replace('"one"', repr(version)))
    project.commit(version)


def rules(**changes: Any) -> dict[str, Any]:
    return {
        "steps": ["25%"],
        "bake": 2,
        "bake_max": 60,
        "min_requests": 60,
        "max_error_rate": 0.6,
        "latency_floor": 0.5,
        **changes,
    }


@pytest.fixture
def port(request: pytest.FixtureRequest) -> int:
    """A port of this test's own, outside of those that the proxy's many connections are given by the kernel."""
    return 10000 + 2 * (zlib.crc32(request.node.nodeid.encode()) % 10000)


@pytest.fixture
def project(new_project, container_host: ContainerHost, proxy: str, port: int) -> Any:
    made = new_project(
        container_host,
        service={"port": port},
        test={
            "strategy": "canary",
            "proxy": {"kind": proxy, "site": f":{SITES[proxy]}"},
            "canary": rules(),
            "watch": 0.2,
            "drain": 2,
            "lease": 4,
        },
    )
    release(made, "one")
    made.deploy()
    return made


def served(project: DeployProject, proxy: str) -> str:
    return project.hosts[0].get(SITES[proxy]).text


def test_a_bad_release_is_returned_and_a_good_one_promoted(
    project: Any, container_host: ContainerHost, proxy: str
) -> None:
    with visitors_of([container_host], SITES[proxy]) as visitors:
        release(project, "bad")
        document = project.deploy(expect=5)
    look = document["canary"][-1]
    assert look["verdict"] == "return"
    assert document["error"]["message"].startswith("the canary (25 % of the traffic) is returned: error rate ")
    assert "the rest 0 % of" in document["error"]["message"]
    assert visitors.lost == []
    assert 0.1 < look["canary"]["requests"] / (look["canary"]["requests"] + look["rest"]["requests"]) < 0.4
    met = sum(count for (version, _), count in visitors.answers.items() if version == "bad")
    assert visitors.failed < met, "only some of the answers of the bad one"
    assert met < 0.4 * sum(visitors.answers.values())
    assert served(project, proxy) == "one"
    entry = project.status()["hosts"][0]["history"][-1]
    assert (entry["result"], entry["canary"][-1]["why"]) == ("returned", look["why"])

    with visitors_of([container_host], SITES[proxy]) as visitors:
        project.configure(test={"canary": rules(steps=["10%", "50%"], min_requests=20)})
        release(project, "good")
        document = project.deploy()
        before = visitors.answers["good", 200]
        wait_until(lambda: visitors.answers["good", 200] > before + 20, "visitors of the new one", 10)
    assert visitors.failures == []
    assert [look["verdict"] for look in document["canary"]] == ["promote", "promote"]
    assert served(project, proxy) == "good"
    assert project.status()["hosts"][0]["history"][-1]["canary"] == document["canary"]

    # A rollback goes to what is known, and does not bake.
    assert project.rollback()["canary"] == []
    assert served(project, proxy) == "one"


# Judging is the same for both proxies, so one of them is enough here.
@pytest.mark.parametrize("proxy", ["nginx"], indirect=True)
def test_a_slow_release_is_returned(project: Any, container_host: ContainerHost, proxy: str) -> None:
    project.configure(test={"canary": rules(min_requests=20)})
    with visitors_of([container_host], SITES[proxy]) as visitors:
        release(project, "slow")
        document = project.deploy(expect=5)
    assert "p95 " in document["error"]["message"]
    assert "at most 1.5 times as much is allowed" in document["error"]["message"]
    assert visitors.failures == []
    assert served(project, proxy) == "one"


def test_a_client_that_dies_while_baking_leaves_the_old_release_with_all_traffic(
    project: Any, container_host: ContainerHost, proxy: str
) -> None:
    project.configure(test={"canary": rules(bake=60, bake_max=60)})
    release(project, "good")
    with visitors_of([container_host], SITES[proxy]) as visitors:
        process = project.start("deploy", "--env", "test", "--yes")
        wait_until(lambda: visitors.answers["good", 200] > 5 or process.poll() is not None, "the canary's traffic", 60)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        wait_until(lambda: not project.status()["hosts"][0]["lock"]["held"], "the return", 30)
        before = visitors.answers.copy()
        wait_until(lambda: visitors.answers["one", 200] > before["one", 200] + 100, "more visitors", 20)
    assert visitors.answers["good", 200] == before["good", 200], "nobody meets the canary any more"
    assert visitors.failures == []
    assert project.status()["state"] == "ok"


def test_with_hosts_as_steps_the_first_ones_are_compared_with_the_others(
    new_project, container_host: ContainerHost, second_container_host: ContainerHost, port: int
) -> None:
    hosts = [container_host, second_container_host]
    for host in hosts:
        host.run_as_root("systemctl start nginx")
    project = new_project(
        *hosts,
        service={"port": port},
        test={
            "strategy": "canary",
            "proxy": {"kind": "nginx", "site": ":8086"},
            "canary": rules(steps=[1]),
            "watch": 0.2,
            "drain": 1,
        },
    )
    release(project, "one")
    project.deploy()
    with visitors_of(hosts, 8086) as visitors:
        release(project, "bad")
        document = project.deploy(expect=5)
        assert document["error"]["message"].startswith("the canary (1 host) is returned: error rate ")
        assert [host.get(8086).text for host in hosts] == ["one", "one"]
        release(project, "two")
        project.deploy()
        assert [host.get(8086).text for host in hosts] == ["two", "two"]
    assert visitors.lost == []
    for host in hosts:
        host.run_as_root("rm -f /etc/nginx/conf.d/handrail-*; systemctl reload nginx")


@pytest.mark.parametrize("proxy", ["caddy"], indirect=True)
def test_a_canary_that_nobody_visits_is_decided_as_declared(project: Any, proxy: str) -> None:
    project.configure(test={"canary": rules(bake=1, bake_max=2)})
    release(project, "two")
    document = project.deploy(expect=5)
    assert "only 0 of the 60 requests" in document["error"]["message"]
    assert 'on_silence = "return"' in document["error"]["message"]
    assert served(project, proxy) == "one"

    # Nobody visits it behind the maintenance page either, and that is nothing that a canary could be judged by.
    assert project.inv("maintenance", "on", "--env", "test").returncode == 0
    plan = project.inv("deploy", "--env", "test", "--plan")
    assert "visitors get the maintenance page, so none is baked" in plan.stdout
    document = project.deploy()
    assert (document["canary"], document["rollout"]["steps"]) == ([], [])
    assert project.inv("maintenance", "off", "--env", "test").returncode == 0
    assert served(project, proxy) == "two"


@pytest.mark.parametrize("proxy", ["caddy"], indirect=True)
def test_a_canary_whose_connection_is_cut_bakes_on(project: Any, container_host: ContainerHost, proxy: str) -> None:
    project.configure(test={"canary": rules(bake=5), "lease": 30})
    with visitors_of([container_host], SITES[proxy]) as visitors:
        release(project, "good")
        process = project.start("deploy", "--env", "test", "--yes", "--json")
        wait_until(lambda: visitors.answers["good", 200] > 5 or process.poll() is not None, "the canary", 60)
        container_host.run_as_root("pkill -9 -f '^sshd: deploy'")
        said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert served(project, proxy) == "good"
    assert visitors.failures == []
