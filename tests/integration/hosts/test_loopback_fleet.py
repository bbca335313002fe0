from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from handrail.testing.fixtures import report_unavailable
from handrail.testing.fleet import Distance, LoopbackFleet, LoopbackHost
from handrail.testing.host import HostUnavailableError
from handrail.testing.project import DeployProject

pytestmark = pytest.mark.integration

HOSTS = 18
"""More than one sshd can listen for."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackFleet]:
    try:
        with LoopbackFleet(tmp_path_factory.mktemp("fleet"), HOSTS) as running:
            yield running
    except HostUnavailableError as error:
        report_unavailable(str(error))


def test_each_host_of_a_fleet_has_its_own_home(fleet: LoopbackFleet) -> None:
    def home(host: LoopbackHost) -> str:
        return host.run("pwd; echo $HOME").stdout

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(home, fleet.hosts))
    assert said == [f"{host.home}\n{host.home}\n" for host in fleet.hosts]
    assert len({host.home for host in fleet.hosts}) == HOSTS


def test_a_deploy_and_a_rollback_reach_a_whole_fleet_and_their_timelines_tell_of_each_host(
    fleet: LoopbackFleet, tmp_path: Path
) -> None:
    project = DeployProject(tmp_path / "project", "shop", fleet.hosts, {})
    for text in ("one", "two"):
        project.write("page.txt", text)
        project.commit(text)
        project.deploy()
    told = project.inv("releases", "--env", "test", "--timeline", "2", "--svg", "client/two.svg", "--json").document
    project.rollback()
    served = [Path(host.home, "apps", "shop", "current", "page.txt").read_text() for host in fleet.hosts]
    assert served == ["one"] * HOSTS
    assert [host["host"] for host in told["hosts"] if host["is_exact"] and host["committed"]] == [
        host.name for host in fleet.hosts
    ]
    assert told["switch"]["skew_ms"] > 0
    picture = (project.folder / "client" / "two.svg").read_text()
    assert all(host.name in picture for host in fleet.hosts)


def test_a_host_at_a_distance_answers_a_round_trip_later(fleet: LoopbackFleet) -> None:
    near = fleet.hosts[0]
    with Distance([near], 0.2) as far:
        # The handshake and the greeting, the two key exchanges, the login and the command: at least five round trips.
        far.hosts[0].client_folder = near.client_folder / "far"
        far.hosts[0].client_folder.mkdir()
        started = time.monotonic()
        assert far.hosts[0].run("echo there").stdout == "there\n"
        assert time.monotonic() - started > 1.0
