"""Applications that nobody here wrote, unmodified from PyPI, as plain trees with a requirements file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from handrail.testing.host import Answer, Host, free_port
from handrail.testing.project import DeployProject

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@dataclass(frozen=True)
class Published:
    """An application on PyPI: two neighbouring versions, and where it reports which one it is."""

    name: str
    versions: tuple[str, str]
    requirements: str
    command: str
    health: str
    path: str
    read_version: Callable[[Answer], str]


HTTPBIN = Published(
    name="httpbin",
    versions=("0.10.3", "0.10.4"),
    requirements="httpbin=={version}\nflasgger\ngunicorn\nsetuptools<81\n",
    command="gunicorn httpbin:app --bind 0.0.0.0:{port} --no-control-socket",
    health="/status/200",
    path="/spec.json",
    read_version=lambda answer: str(answer.json()["info"]["version"]),
)
DATASETTE = Published(
    name="datasette",
    versions=("0.65.4", "0.65.5"),
    requirements="datasette=={version}\n",
    command="datasette serve --host 0.0.0.0 --port {port}",
    health="/-/versions.json",
    path="/-/versions.json",
    read_version=lambda answer: str(answer.json()["datasette"]["version"]),
)


@pytest.fixture(params=["sshd_host", "container_host"])
def host(request: pytest.FixtureRequest) -> Host:
    """A host with supervisor, and one with systemd that reaches no package index."""
    found: Host = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("app", [HTTPBIN, DATASETTE], ids=["wsgi", "asgi"])
def test_it_is_deployed_upgraded_to_its_next_version_and_rolled_back(
    app: Published, host: Host, tmp_path: Path, wheel_cache: Path
) -> None:
    port = free_port()
    service = {"command": app.command, "port": port, "health": app.health, "health_timeout": 30}
    python = host.run("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'").stdout.strip()
    tables = {"service": service, "build": {"python": python}}
    project = DeployProject(tmp_path / app.name, app.name, [host], tables, cache=wheel_cache)

    def served() -> str:
        answer = host.get(port, app.path)
        assert answer.status == 200, answer
        return app.read_version(answer)

    older, newer = app.versions
    project.write("requirements.txt", app.requirements.format(version=older))
    project.commit(older)
    first = project.deploy()
    assert served() == older

    project.write("requirements.txt", app.requirements.format(version=newer))
    project.commit(newer)
    second = project.deploy()
    assert served() == newer
    assert second["hosts"][0]["bytes_sent"] < first["hosts"][0]["bytes_sent"] / 4, "other wheels stay in the store"

    project.rollback()
    assert served() == older
