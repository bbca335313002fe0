"""A fleet of container hosts with one small service on it, reached through wires that can be cut."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.testing.container import ContainerHost
from handrail.testing.host import Answer, free_port, wait_until
from handrail.testing.project import DeployProject
from handrail.testing.tiny import TinyProject
from handrail.testing.wire import Wire

if TYPE_CHECKING:
    from typing_extensions import Self

LEASE = 2.0
# A file system of its own, small enough to be filled.
SMALL = "/home/deploy/small"
SMALL_OPTIONS = ["--tmpfs", f"{SMALL}:exec,size=48m,nr_inodes=6000,uid=1000,gid=1000,mode=0755"]


@dataclass(frozen=True)
class Serving:
    """What a visitor gets from one host: version and release of the answer, both empty where there is none."""

    version: str
    release: str
    why: str = ""


class Scene:
    """Use as a context; `release` and `deploy_good` go on from what serves.

    Args:
        folder: made by this, for the project and the wires.
        strategy: ``restart``, ``rolling`` or ``blue-green`` (behind Caddy).
        small: put the app on a file system that can be filled; the hosts need `SMALL_OPTIONS`.
    """

    def __init__(
        self,
        folder: Path,
        app: str,
        hosts: Sequence[ContainerHost],
        *,
        strategy: str = "restart",
        small: bool = False,
        cache: Path,
        **tables: dict[str, Any],
    ) -> None:
        self.hosts = list(hosts)
        self.strategy = strategy
        self.folder = f"{SMALL if small else '/home/deploy/apps'}/{app}"
        self.version = ""
        self.site = free_port()
        self._number = 0
        self._stack = ExitStack()
        self.wires = []
        for number, host in enumerate(self.hosts):
            place = folder / f"wire-{number}"
            place.mkdir(parents=True)
            self.wires.append(self._stack.enter_context(Wire(host, place)))
        test: dict[str, Any] = {"lease": LEASE, "strategy": strategy, **tables.pop("test", {})}
        if strategy == "rolling":
            test["batches"] = [1]
        if strategy == "blue-green":
            test |= {"proxy": {"kind": "caddy", "site": f":{self.site}"}, "watch": 0.3, "drain": 1}
        if small:
            test["root"] = SMALL
        reached = [wire.host for wire in self.wires]
        self.project = TinyProject(folder / "project", app, reached, cache, test=test, **tables)

    def __enter__(self) -> Self:
        if self.strategy == "blue-green":
            for host in self.hosts:
                host.run_as_root("systemctl --quiet enable --now caddy")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        app = self.project.app
        for host in self.hosts:
            host.run_as_root(
                f"for unit in $(systemctl list-units --plain --no-legend --all '{app}-*' | cut -d' ' -f1); do "
                "systemctl disable --quiet --now $unit 2>/dev/null; rm -f /etc/systemd/system/$unit; done; "
                f"rm -rf {self.folder} /etc/caddy/handrail/{app}*; systemctl daemon-reload; rm -f /home/deploy/sick"
            )
            if self.strategy == "blue-green":
                host.run_as_root("systemctl reload caddy || systemctl restart caddy")

    def next_version(self) -> str:
        """Commit the next version; return its name. It is not deployed yet."""
        self._number += 1
        version = f"v{self._number}"
        self.project.release(version)
        return version

    def deploy_good(self) -> list[str]:
        """Deploy the next version without a fault; return what is broken, as sentences."""
        version = self.next_version()
        done = self.project.inv("deploy", "--env", "test", "--yes", "--json")
        if done.returncode != 0:
            return [f"the next deploy failed\n{done}"]
        self.version = version
        return [
            f"{host.name} serves {self.ask(host)} after the next deploy, not {version}"
            for host in self.hosts
            if self.ask(host).version != version
        ]

    def ask(self, host: ContainerHost) -> Serving:
        """Ask as a visitor does: blue-green through the proxy, else the service's own port."""
        answer: Answer = host.get(self.site if self.strategy == "blue-green" else self.project.port)
        if answer.status != 200:
            return Serving("", "", f"{answer.status} {answer.text[:80]}")
        facts = answer.json()
        return Serving(facts["version"], facts["release"])

    def deploy_id(self, host: ContainerHost) -> str:
        """Return the id of the deploy that a host's journal is about; ``""`` for none."""
        return str((self.read(host, "tx/state.json") or {}).get("deploy", ""))

    def read(self, host: ContainerHost, name: str) -> Any:
        """Return a JSON file of the app's folder, None where it is missing."""
        text = host.run_as_root(f"cat {self.folder}/{name} 2>/dev/null || true")
        return json.loads(text) if text.strip() else None

    def history(self, host: ContainerHost) -> list[dict[str, Any]]:
        """Return the host's history, oldest first."""
        text = host.run_as_root(f"cat {self.folder}/history.jsonl 2>/dev/null || true")
        return [json.loads(line) for line in text.splitlines() if line.strip()]

    def lock_is_free(self, host: ContainerHost) -> bool:
        """Ask the kernel, not the tool."""
        words = ["docker", "exec", host.container, "flock", "--nonblock", f"{self.folder}/lock", "true"]
        return subprocess.run(words, capture_output=True).returncode == 0

    def settle(self, seconds: float = 40.0) -> list[str]:
        """Wait until nobody holds a lock and all services answer; return what is broken where that does not come."""
        try:
            for host in self.hosts:
                wait_until(partial(self.lock_is_free, host), f"the lock on {host.name}", seconds)
                # A service that was killed is started again by its manager, after a second.
                wait_until(lambda host=host: self.ask(host).version, f"an answer of {host.name}", 10)  # type: ignore[misc]
        except AssertionError as error:
            return [str(error)]
        return []

    @property
    def status(self) -> dict[str, Any]:
        """The document of ``inv status``."""
        project: DeployProject = self.project
        return project.status()
