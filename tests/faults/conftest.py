"""The hosts that fault tests break, and what runs on them; both live as long as the test session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.faults import CATALOGUE, DEPLOY, Command, Fault, Outcome, Scene, strike
from handrail.testing.fixtures import (
    container_host,
    docker_engine,
    second_container_host,
    second_sshd_host,
    sshd_host,
)

__all__ = ["container_host", "docker_engine", "second_container_host", "second_sshd_host", "sshd_host"]

SceneFor = Callable[..., Scene]
Suffer = Callable[..., Outcome]


@pytest.fixture(scope="session")
def scene_for(
    container_host: ContainerHost, second_container_host: ContainerHost, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SceneFor]:
    """Gives a fleet on which a good release serves: two hosts, or one; the same one for the same question."""
    scenes: dict[tuple[int, str, str, bool], Scene] = {}
    cache = tmp_path_factory.mktemp("wheels")
    with ExitStack() as stack:

        def find(hosts: int = 2, strategy: str = "restart", small: bool = False, kind: str = "") -> Scene:
            key = (hosts, strategy, kind, small)
            if key not in scenes:
                scene = Scene(
                    tmp_path_factory.mktemp("scene"),
                    f"faults-{strategy}-{hosts}{'-small' if small else ''}{kind and f'-{kind}'}",
                    [container_host, second_container_host][:hosts],
                    strategy=strategy,
                    kind=kind,
                    small=small,
                    cache=cache,
                )
                assert scene.deploy_good() == []
                scenes[key] = stack.enter_context(scene)
            return scenes[key]

        yield find


@pytest.fixture
def suffer(scene_for: SceneFor) -> Suffer:
    """Runs a command with a fault in it; nothing may be broken afterwards, and the next deploy must succeed."""

    def run(
        name: str | Fault,
        moment: str = "",
        *,
        command: Command = DEPLOY,
        strategy: str = "restart",
        hosts: int = 1,
        which: int = 0,
    ) -> Outcome:
        fault = CATALOGUE[name] if isinstance(name, str) else name
        scene = scene_for(hosts, strategy, fault.small, command.kind)
        for _ in range(5):
            outcome = strike(scene, fault, moment, command=command, which=which)
            assert outcome.broken == [], f"{outcome.client}"
            if outcome.reached:
                break
            # Some moments last less than the watcher's look at the machine: it was an ordinary deploy.
        assert outcome.reached, f"it never came to {moment}\n{outcome.client}"
        return outcome

    return run
