from __future__ import annotations

import secrets
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from handrail.testing.container import ContainerHost, ensure_network

pytestmark = pytest.mark.integration


def test_systemd_is_process_one_and_runs_units(container_host: ContainerHost) -> None:
    assert container_host.run("cat /proc/1/comm").stdout == "systemd\n"
    container_host.run("sudo -n systemd-run --unit=probe --remain-after-exit true")
    assert container_host.run("systemctl is-active probe").stdout == "active\n"


def test_the_user_is_not_root_and_may_use_sudo(container_host: ContainerHost) -> None:
    assert container_host.run("id -un; sudo -n id -un").stdout.split() == ["deploy", "root"]


@pytest.mark.parametrize("address", ["pypi.org", "1.1.1.1"])
def test_no_package_index_can_be_reached(container_host: ContainerHost, address: str) -> None:
    probe = f"import socket; socket.create_connection(('{address}', 443), 1)"
    done = container_host.run(f'RES_OPTIONS="timeout:1 attempts:1" python3 -c "{probe}"', check=False)
    assert done.returncode == 1
    assert "socket.gaierror" in done.stderr or "TimeoutError" in done.stderr or "OSError" in done.stderr


def test_each_session_counts_as_one_channel(container_host: ContainerHost) -> None:
    with container_host.counting_channels() as opened:
        container_host.run("true")
        assert opened() == 1


def test_caddy_serves(container_host: ContainerHost) -> None:
    assert container_host.get(80).status == 200


@pytest.mark.usefixtures("container_host")
def test_many_who_ask_at_once_for_the_network_make_one() -> None:
    name = f"handrail-test-{secrets.token_hex(4)}"
    listing = ["docker", "network", "ls", "--quiet", "--filter", f"name={name}"]
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ensure_network, [name] * 8))
        assert len(subprocess.check_output(listing, text=True).split()) == 1
    finally:
        for made in subprocess.check_output(listing, text=True).split():
            subprocess.run(["docker", "network", "rm", made], check=True, capture_output=True)
