"""The process managers there are: one line each.

A further one is a module with ``build(process, facts) -> dict`` that keeps the contract in
`handrail.runtime.service_spec`, its name here, and its name in ``Service.manager``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from handrail.errors import ConfigError, did_you_mean
from handrail.runtime import supervisor, systemd
from handrail.runtime.process import Process

Builder = Callable[[Process, Mapping[str, Any]], dict[str, Any]]

MANAGERS: dict[str, Builder] = {
    "systemd": systemd.build,
    "supervisor": supervisor.build,
}


def builder_for(manager: str) -> Builder:
    """Return the builder of a process manager; ConfigError names the nearest known one."""
    try:
        return MANAGERS[manager]
    except KeyError:
        raise ConfigError(f"process manager {manager!r} is unknown{did_you_mean(manager, MANAGERS)}") from None
