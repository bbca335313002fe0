"""Projects to deploy: a tiny service that needs nothing, and a place where real ones are made."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.host import Host
from handrail.testing.project import DeployProject
from handrail.testing.tiny import TinyProject

MakeProject = Callable[..., DeployProject]


@pytest.fixture
def new_project(tmp_path: Path, wheel_cache: Path, request: pytest.FixtureRequest) -> Iterator[MakeProject]:
    """Makes a `TinyProject` whose app has a name of its own on the shared hosts."""
    made: list[TinyProject] = []

    def make(*hosts: Host, **tables: dict[str, Any]) -> TinyProject:
        app = f"t{zlib.crc32(request.node.nodeid.encode())}-{len(made)}"
        project = TinyProject(tmp_path / app, app, hosts, wheel_cache, **tables)
        made.append(project)
        return project

    yield make
    for host in {host.name: host for project in made for host in project.hosts}.values():
        host.run("rm -f ~/sick", check=False)


@pytest.fixture(params=["container_host", "sshd_host"])
def host(request: pytest.FixtureRequest) -> Host:
    """A host with systemd, and one with supervisor."""
    found: Host = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["caddy", "nginx"])
def proxy(request: pytest.FixtureRequest, container_host: ContainerHost) -> Iterator[str]:
    """Which web server stands in front; what tests made it serve is taken away afterwards."""
    kind: str = request.param
    container_host.run_as_root(f"systemctl start {kind}")
    yield kind
    container_host.run_as_root(f"rm -f /etc/caddy/handrail/* /etc/nginx/conf.d/handrail-*; systemctl reload {kind}")


@pytest.fixture(scope="session")
def wheel_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of downloaded wheels for all projects of the session."""
    return tmp_path_factory.mktemp("wheels")
