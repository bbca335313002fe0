"""A fleet of container hosts with one small service on it, reached through wires that can be cut."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.testing.container import ContainerHost
from handrail.testing.host import Answer, free_port, wait_until
from handrail.testing.project import DeployProject, Finished
from handrail.testing.tiny import TinyProject
from handrail.testing.wire import Wire

if TYPE_CHECKING:
    from typing_extensions import Self

LEASE = 2.0
# A file system of its own, small enough to be filled.
SMALL = "/home/deploy/small"
# What the canary's bake needs: its shortest, without visitors.
BAKE = {"steps": ["50%"], "bake": 0.5, "bake_max": 0.5, "min_requests": 1, "on_silence": "promote"}
# Takes a moment for each way, in which it can be killed half-way.
SCHEMA = """\
import os, pathlib, sys, time

place = pathlib.Path.home() / (os.environ["HANDRAIL_APP"] + ".schema")
now = place.read_text() if place.exists() else "none"
if sys.argv[1] == "state":
    print(now)
    sys.exit()
goal = pathlib.Path("version").read_text() if sys.argv[1] == "up" else os.environ["HANDRAIL_MIGRATE_TO"]
if now != goal:
    place.write_text("half-way")
    time.sleep(0.2)
    place.write_text(goal)
"""
WORKER = "import time\n\nwhile True:\n    time.sleep(60)\n"
# Writes down which version it is of; at a time that no test meets, when nobody begins a run.
JOB = """\
import os, pathlib

(pathlib.Path.home() / (os.environ["HANDRAIL_APP"] + ".ran")).write_text(pathlib.Path("version").read_text())
"""
JOB_TABLE = {"command": "python3 job.py", "schedule": "30 3 1 1 *"}
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
        strategy: ``restart``, ``rolling``, or ``blue-green`` or ``canary`` (behind Caddy).
        kind: ``schema`` for a service with a schema that is a file on the first host, ``workers`` for one with
            background processes, ``jobs`` for one with a background process and a periodic job.
        small: put the app on a file system that can be filled; the hosts need `SMALL_OPTIONS`.
    """

    def __init__(
        self,
        folder: Path,
        app: str,
        hosts: Sequence[ContainerHost],
        *,
        strategy: str = "restart",
        kind: str = "",
        small: bool = False,
        cache: Path,
        **tables: dict[str, Any],
    ) -> None:
        self.hosts = list(hosts)
        self.strategy = strategy
        self.folder = f"{SMALL if small else '/home/deploy/apps'}/{app}"
        self.version = ""
        self.before = ""
        """The version to which a rollback leads; empty where that is not sure."""
        self._is_sure = True
        self._sent: list[int] = []
        self.numbers: dict[str, int] = {}
        self.has_proxy = strategy in ("blue-green", "canary")
        self.has_schema = kind == "schema"
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
        if self.has_proxy:
            test |= {"proxy": {"kind": "caddy", "site": f":{self.site}"}, "watch": 0.3, "drain": 1}
        if strategy == "canary":
            test["canary"] = BAKE
        if self.has_schema:
            ways = {"migrate": "up", "migrate_state": "state", "migrate_down": "down"}
            tables["service"] = {name: f"python3 schema.py {word}" for name, word in ways.items()}
        if kind in ("workers", "jobs"):
            tables["processes.worker"] = {"command": "python3 work.py", "instances": 1}
        if kind == "jobs":
            tables["processes.nightly"] = JOB_TABLE
        if small:
            test["root"] = SMALL
        reached = [wire.host for wire in self.wires]
        self.project = TinyProject(folder / "project", app, reached, cache, test=test, **tables)
        self.project.write("schema.py", SCHEMA)
        self.project.write("work.py", WORKER)
        self.project.write("job.py", JOB)

    def __enter__(self) -> Self:
        if self.has_proxy:
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
                f"rm -rf {self.folder} /etc/caddy/handrail/{app}*; systemctl daemon-reload; rm -f /home/deploy/sick "
                f"/home/deploy/{app}.*"
            )
            if self.has_proxy:
                host.run_as_root("systemctl reload caddy || systemctl restart caddy")

    def next_version(self) -> str:
        """Commit the next version; return its name. It is not deployed yet."""
        self._number += 1
        version = self.newest
        self.project.write("version", version)
        self.project.release(version)
        return version

    @property
    def newest(self) -> str:
        """The version that was committed last."""
        return f"v{self._number}"

    def deploy_good(self) -> list[str]:
        """Deploy the next version without a fault; return what is broken, as sentences."""
        version = self.next_version()
        before = [wire.sent for wire in self.wires]
        done = self.project.inv("deploy", "--env", "test", "--yes", "--json")
        self._sent = [wire.sent - old for wire, old in zip(self.wires, before, strict=True)]
        if done.returncode != 0:
            return [f"the next deploy failed\n{done}"]
        self.version, self.before = version, self.version if self._is_sure else ""
        self._is_sure = True
        broken = [
            f"{host.name} serves {self.ask(host)} after the next deploy, not {version}"
            for host in self.hosts
            if self.ask(host).version != version
        ]
        if self.has_schema and self.schema() != version:
            broken.append(f"the schema is {self.schema()!r} after the next deploy, not {version!r}")
        return broken

    def note(self, versions: Sequence[str], *, is_decided: bool) -> None:
        """Remember what the hosts serve after something else than a good deploy."""
        if set(versions) == {self.version} and is_decided:
            return
        # Where only some hosts went on, or nobody has decided, the next deploy leaves an uncertain way back.
        self._is_sure = is_decided and len(set(versions)) == 1
        self.before = ""
        if self._is_sure:
            self.version = versions[0]

    def bytes_of_a_deploy(self, wire: Wire[ContainerHost]) -> int:
        """Return how many bytes the client sent through a wire in the last good deploy."""
        return self._sent[self.wires.index(wire)]

    def make_two(self) -> None:
        """See to it that a rollback has somewhere to go, and that it is known where."""
        if not self.before:
            broken = self.deploy_good()
            assert not broken, broken

    def must(self, *words: str) -> Finished:
        """Run a command that has to succeed."""
        done = self.project.inv(*words)
        assert done.returncode == 0, f"{done}"
        return done

    def schema(self) -> str:
        """Return the state of the schema; empty where it was never made."""
        return self.hosts[0].run_as_root(f"cat /home/deploy/{self.project.app}.schema 2>/dev/null || true").strip()

    def workers(self, host: ContainerHost) -> int:
        """Return how many background processes run, by the process manager's word."""
        return len(self._worker_units(host))

    def _worker_units(self, host: ContainerHost) -> list[str]:
        units = f"'{self.project.app}-worker*'"
        listed = host.run_as_root(f"systemctl list-units --plain --no-legend --state=active {units}")
        return [line.split()[0] for line in listed.strip().splitlines()]

    def works(self, host: ContainerHost) -> list[str]:
        """Return the version that each running background process is of, by the folder that it runs in."""
        # As the user: root may not look into another's process without a capability that the container lacks.
        return host.run(
            f"for unit in {' '.join(self._worker_units(host))}; do "
            "cat /proc/$(systemctl show --property=MainPID --value $unit)/cwd/version; echo; done",
        ).stdout.split()

    def settle_processes(self) -> None:
        """Give managers the time to start again what was killed."""
        with suppress(AssertionError):
            wait_until(lambda: all(len(self.works(host)) == 1 for host in self.hosts), "background processes", 10)

    def begin_job(self, host: ContainerHost) -> str:
        """Begin a run of the periodic job as its timer would; return the version that ran."""
        app = self.project.app
        return host.run_as_root(
            f"rm -f /home/deploy/{app}.ran; systemctl is-active --quiet {app}-nightly.timer || echo no timer: ; "
            f"systemctl start {app}-nightly.service; cat /home/deploy/{app}.ran"
        ).strip()

    def serves_page(self, host: ContainerHost) -> bool:
        """Tell whether visitors get the page of ``inv maintenance``."""
        answer = host.get(self.site)
        return self.has_proxy and answer.status == 503 and "retry-after" in answer.headers

    def ask(self, host: ContainerHost) -> Serving:
        """Ask as a visitor does: through the proxy where there is one, else the service's own port."""
        answers = {self._ask_once(host) for _ in range(8 if self.strategy == "canary" else 1)}
        # A share of the traffic for another release must not outlive the deploy.
        return answers.pop() if len(answers) == 1 else Serving("", "", f"different answers: {answers}")

    def _ask_once(self, host: ContainerHost) -> Serving:
        answer: Answer = host.get(self.site if self.has_proxy else self.project.port)
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
                wait_until(partial(self._answers, host), f"an answer of {host.name}", 10)
        except AssertionError as error:
            return [str(error)]
        return []

    def _answers(self, host: ContainerHost) -> bool:
        return bool(self.ask(host).version) or self.serves_page(host)

    @property
    def status(self) -> dict[str, Any]:
        """The document of ``inv status``."""
        project: DeployProject = self.project
        return project.status()
