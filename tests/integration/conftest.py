"""The hosts that integration tests deploy to; they come from the product."""

from __future__ import annotations

from handrail.testing.fixtures import (
    container_host,
    docker_engine,
    second_container_host,
    second_sshd_host,
    sshd_host,
)

__all__ = ["container_host", "docker_engine", "second_container_host", "second_sshd_host", "sshd_host"]
