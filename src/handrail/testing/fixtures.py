"""pytest fixtures for the test hosts; a conftest.py imports the ones it wants by name.

The hosts live as long as the test session, because starting them costs more than most tests. Tests keep apart
by using different app names and ports. A host that this machine cannot have skips its tests with the reason;
where ``CI`` is set, that is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from handrail.testing.bare import BareHost
from handrail.testing.container import ContainerHost, engine
from handrail.testing.faults.scene import SMALL_OPTIONS
from handrail.testing.host import HostUnavailableError
from handrail.testing.postgres import PostgresServer
from handrail.testing.sshd import SshdHost


def report_unavailable(reason: str) -> NoReturn:
    """Skip the running test; fail it where ``CI`` is set."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"in CI every test must run: {reason}", pytrace=False)
    pytest.skip(f"NOT RUN: {reason}")


@contextmanager
def _or_report() -> Iterator[None]:
    try:
        yield
    except HostUnavailableError as error:
        report_unavailable(str(error))


@pytest.fixture(scope="session")
def sshd_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdHost]:
    """A host made of this machine's own sshd, with supervisor."""
    with _or_report(), SshdHost(tmp_path_factory.mktemp("host-a"), name="host-a") as host:
        yield host


@pytest.fixture(scope="session")
def second_sshd_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdHost]:
    """A second one, on another port and with another home folder."""
    with _or_report(), SshdHost(tmp_path_factory.mktemp("host-b"), name="host-b") as host:
        yield host


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server on loopback."""
    with _or_report(), PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[None]:
    """A Docker engine that answers."""
    with _or_report(), engine():
        yield


@pytest.fixture(scope="session")
def container_host(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerHost]:
    """A container with systemd as PID 1, sshd and Caddy, and no way to a package index."""
    folder = tmp_path_factory.mktemp("container-a")
    with _or_report(), ContainerHost(folder, name="container-a", options=SMALL_OPTIONS) as host:
        yield host


@pytest.fixture(scope="session")
def second_container_host(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerHost]:
    """A second one: with the first it is a fleet, because each has its own ports."""
    folder = tmp_path_factory.mktemp("container-b")
    with _or_report(), ContainerHost(folder, name="container-b", options=SMALL_OPTIONS) as host:
        yield host


@pytest.fixture
def bare_host(docker_engine: None, tmp_path: Path) -> Iterator[BareHost]:
    """A container as a provider hands it over, for this test alone: ``admin`` may use sudo."""
    with _or_report(), BareHost(tmp_path / "bare-a", name="bare-a") as host:
        yield host


@pytest.fixture
def second_bare_host(docker_engine: None, tmp_path: Path) -> Iterator[BareHost]:
    """A second one."""
    with _or_report(), BareHost(tmp_path / "bare-b", name="bare-b") as host:
        yield host
