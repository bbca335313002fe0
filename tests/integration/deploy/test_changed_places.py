"""Deploys that change where a service listens or what its proxy serves, and fail: what was served is served again."""

from __future__ import annotations

import pytest

from handrail.testing.container import ContainerHost, other_site
from handrail.testing.host import free_port, wait_until
from handrail.testing.project import DeployProject
from handrail.testing.tiny import TinyProject

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SITES = {"caddy": 8091, "nginx": 8093}


@pytest.fixture(params=["restart", "blue-green"])
def project(request: pytest.FixtureRequest, new_project, container_host: ContainerHost, proxy: str) -> TinyProject:
    """A service of which version "one" is served."""
    made: TinyProject = new_project(
        container_host,
        test={
            "strategy": request.param,
            "proxy": {"kind": proxy, "site": f":{SITES[proxy]}"},
            "watch": 0.2,
            "drain": 1,
        },
    )
    made.release("one")
    made.deploy()
    return made


def served(project: DeployProject, port: int) -> str:
    answer = project.hosts[0].get(port)
    return str(answer.json()["version"]) if answer.status == 200 else ""


def pid_of(project: DeployProject) -> int:
    status = project.status()
    assert status["state"] == "ok", status
    return int(status["hosts"][0]["service"]["pid"])


def test_a_release_on_another_port_that_fails_leaves_the_old_one_on_its_own(
    project: TinyProject, container_host: ContainerHost, proxy: str
) -> None:
    before = pid_of(project)
    project.configure(service={"port": free_port()})
    container_host.run("echo two > ~/sick")
    project.release("two")
    document = project.deploy(expect=5)
    assert document["hosts"][0]["state"].startswith("returned to")
    assert served(project, SITES[proxy]) == "one"
    if project.tables["test"]["strategy"] == "blue-green":
        assert pid_of(project) == before, "what served was never touched"

    # After the traffic has moved there is more to bring back.
    container_host.run("rm ~/sick")
    project.configure(hooks={"before_commit": ["false"]})
    project.release("three")
    project.deploy(expect=5)
    assert served(project, SITES[proxy]) == "one"
    assert project.status()["state"] == "ok"

    project.configure(hooks={"before_commit": []})
    project.release("four")
    project.deploy()
    assert served(project, SITES[proxy]) == "four"
    project.rollback()
    assert served(project, SITES[proxy]) == "one"
    assert project.status()["state"] == "ok"


# Side by side the proxy is told with every deploy; here it would not be.
@pytest.mark.parametrize("project", ["restart"], indirect=True)
def test_another_site_is_served_and_comes_back_with_the_release(project: TinyProject, proxy: str) -> None:
    old, new = SITES[proxy], SITES[proxy] + 1
    project.configure(test={"proxy": {"kind": proxy, "site": f":{new}"}}, hooks={"before_commit": ["false"]})
    project.release("two")
    project.deploy(expect=5)
    assert served(project, old) == "one"
    # nginx loads a file with new workers, before the old ones have left.
    wait_until(lambda: not served(project, new), "the other site to go")
    project.configure(hooks={"before_commit": []})
    project.commit("without the hook")
    project.deploy()
    assert served(project, new) == "two"
    wait_until(lambda: not served(project, old), "the old site to go")


@pytest.mark.parametrize("project", ["blue-green"], indirect=True)
def test_a_site_that_the_proxy_refuses_leaves_the_old_one(
    project: TinyProject, container_host: ContainerHost, proxy: str
) -> None:
    taken = SITES[proxy] + 1
    with other_site(container_host, taken):
        project.configure(test={"proxy": {"kind": proxy, "site": f":{taken}"}})
        project.release("two")
        document = project.deploy(expect=5)
    assert document["hosts"][0]["state"].startswith("returned to")
    assert served(project, SITES[proxy]) == "one"
    units = f"systemctl list-units --plain --no-legend --state=active '{project.app}-*'"
    assert len(container_host.run_as_root(units).splitlines()) == 1, "the refused one was ended"
    project.release("three")
    project.deploy()
    assert served(project, taken) == "three"
