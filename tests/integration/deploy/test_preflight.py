from __future__ import annotations

import platform

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.sshd import SshdHost

pytestmark = pytest.mark.integration

OTHER_MACHINE = "x86_64" if platform.machine() == "aarch64" else "aarch64"


@pytest.mark.parametrize(
    ("build", "word"),
    [({"python": "3.12"}, "3.12"), ({"python": "3.11", "platform": f"manylinux2014_{OTHER_MACHINE}"}, OTHER_MACHINE)],
)
def test_a_wheel_that_does_not_fit_the_host_is_found_before_anything_is_changed(
    new_project, container_host: ContainerHost, build: dict[str, str], word: str
) -> None:
    project = new_project(container_host, build=build)
    project.write("requirements.txt", "markupsafe\n")
    project.release("one")
    done = project.inv("deploy", "--env", "test", "--yes", "--json")
    assert done.returncode == 3, done
    assert container_host.name in done.stderr
    assert word in done.stderr
    assert container_host.run(f"test -e ~/apps/{project.app}", check=False).returncode == 1


def test_a_port_of_somebody_else_is_found_before_anything_is_changed(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host, service={"port": sshd_host.port})
    project.release("one")
    done = project.inv("deploy", "--env", "test", "--yes", "--json")
    assert done.returncode == 3, done
    assert str(sshd_host.port) in done.stderr


def test_a_disk_without_the_reserve_is_found_before_anything_is_changed(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host, test={"reserve": 10_000_000})
    project.release("one")
    done = project.inv("deploy", "--env", "test", "--yes", "--json")
    assert done.returncode == 3, done
    assert "reserve" in done.stderr


def test_an_unreachable_host_stops_the_deploy_everywhere(new_project, sshd_host: SshdHost, tmp_path) -> None:
    gone = SshdHost(tmp_path / "gone", name="host-gone")
    with gone:
        project = new_project(sshd_host, gone)
    project.release("one")
    done = project.inv("deploy", "--env", "test", "--yes", "--json")
    assert done.returncode == 3, done
    assert "host-gone" in done.stderr
    assert sshd_host.run(f"test -e ~/apps/{project.app}", check=False).returncode == 1
