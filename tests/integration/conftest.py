"""The hosts that integration tests deploy to; they come from the product."""

from __future__ import annotations

from handrail.testing.fixtures import (
    bare_host,
    container_host,
    docker_engine,
    postgres_server,
    second_bare_host,
    second_container_host,
    second_sshd_host,
    sshd_host,
)

__all__ = [
    "bare_host",
    "container_host",
    "docker_engine",
    "postgres_server",
    "second_bare_host",
    "second_container_host",
    "second_sshd_host",
    "sshd_host",
]
