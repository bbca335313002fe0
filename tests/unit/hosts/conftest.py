"""A shop behind Caddy, and what its host is to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from host_facts import KEY

from handrail.config.schema import Environment, Project, Proxy, Service
from handrail.config.target import Target, resolve
from handrail.config.values import load_values
from handrail.hosts.want import Want


@pytest.fixture
def target(tmp_path) -> Callable[..., Target]:
    """Makes the target of an environment; keywords are its keys."""

    def make(service: bool = True, **keys: Any) -> Target:
        keys = {"proxy": Proxy(kind="caddy", site="shop.example.com"), "python": "3.11", **keys}
        environment = Environment(hosts=["deploy@web1"], **keys)
        started = Service(command="serve", port=8000) if service else None
        (tmp_path / "pyproject.toml").write_text('[tool.handrail]\napp = "shop"\n')
        project = Project(app="shop", service=started, environments={"production": environment})
        return resolve(project, "production", load_values(tmp_path, "production", process={}))

    return make


@pytest.fixture
def want(target) -> Callable[..., Want]:
    """Makes what the host is to be."""

    def make(user: str = "deploy", keys: tuple[str, ...] = (KEY,), **table: Any) -> Want:
        return Want("deploy@web1", "admin", user, target(**table), keys)

    return make
