"""The commands that faults strike: what each needs before, the steps that it goes through, what must hold after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handrail.agent import SIDE_BY_SIDE
from handrail.testing.project import Finished

if TYPE_CHECKING:
    from handrail.testing.faults.catalogue import Fault
    from handrail.testing.faults.scene import Scene

IN_TEST = ("--env", "test", "--json")
UNTIL_PREPARED = ("begun", "prepared")
FROM_ACTIVATION = ("activating", "activated")
SWITCH = ("switching", "switched")
DECIDED = "decided"
# Whatever strikes at the activation, may strike there.
LIKE_ACTIVATION = ("lowering", "lowered", *SWITCH)
# Not a step of the journal: the file that a command without a transaction changes.
CHANGED = "changed"


@dataclass(frozen=True)
class Plan:
    """One run of a command: ``words`` are typed, ``new`` is the version that serves if it succeeds."""

    words: tuple[str, ...]
    new: str


@dataclass(frozen=True)
class Command:
    """What a fault strikes.

    Args:
        steps: the journal's steps that it goes through, in their order, those of `SWITCH` only where two instances
            stand side by side; where it keeps no journal, `CHANGED`.
        plan: makes the scene ready for it.
        look: says as sentences what is broken afterwards, beside what is asked after every command; it gets the scene,
            the version before, the ended client, and whether nobody was left to decide.
        strategies: of the environments that it is for.
        kind: what else the scene has: ``schema``, ``workers``, ``jobs`` or ``""``.
        returncodes: how its client may end, beside those of the fault.
        watched: the file that is `CHANGED`, with ``{app}`` and ``{folder}``; empty where it keeps a journal. A
            command without a journal has no lease and no guardian, and takes only faults that need neither.
    """

    name: str
    steps: tuple[str, ...]
    plan: Callable[[Scene], Plan]
    look: Callable[[Scene, str, Finished, bool], list[str]] = lambda *_: []
    strategies: tuple[str, ...] = ("restart", "rolling", "blue-green")
    kind: str = ""
    returncodes: tuple[int, ...] = ()
    watched: str = ""
    sends: float = 1.0
    """How many bytes its client sends, as a share of a deploy's."""
    weight: int = 2

    def takes(self, fault: Fault) -> bool:
        """Tell whether a fault can strike it."""
        if self.name == "deploy":
            return True
        if fault.commands == "deploy" or (self.kind and fault.small):
            return False
        return fault.commands == "all" if self.watched else bool(self.moments(fault)) or not fault.moments

    def moments(self, fault: Fault, strategy: str = "restart") -> tuple[str, ...]:
        """Return the steps at which a fault may strike it; none for a fault that is there from the beginning."""
        if not fault.moments:
            return ()
        if self.watched:
            return self.steps
        wanted = {*fault.moments, *(LIKE_ACTIVATION if "activated" in fault.moments else ())}
        wanted -= set() if strategy in SIDE_BY_SIDE else set(SWITCH)
        return tuple(step for step in self.steps if step in wanted)

    def steps_from(self, moment: str) -> tuple[str, ...]:
        """Return the steps from one on: a watcher that misses it stops at the next."""
        return self.steps[self.steps.index(moment) :]


def plan_deploy(scene: Scene) -> Plan:
    return Plan(("deploy", "--yes", *IN_TEST), scene.next_version())


def plan_rollback(scene: Scene) -> Plan:
    scene.make_two()
    return Plan(("rollback", "--yes", *IN_TEST), scene.before)


def plan_schema_rollback(scene: Scene) -> Plan:
    scene.make_two()
    return Plan(("rollback", "--with-migrations", "--yes", *IN_TEST), scene.before)


def look_at_schema(scene: Scene, _old: str, _done: Finished, undecided: bool) -> list[str]:
    """The schema is the one of the code that serves, once this is decided everywhere."""
    versions = {scene.ask(host).version for host in scene.hosts}
    if undecided or len(versions) > 1:
        return []
    schema = scene.schema()
    return [] if {schema} == versions else [f"{versions} serves on the schema of {schema!r}"]


def look_at_processes(scene: Scene, _old: str, _done: Finished, undecided: bool) -> list[str]:
    """Background processes and the periodic job are of the release that serves, once this is decided."""
    broken = []
    scene.settle_processes()
    for host, row in zip(scene.hosts, scene.status["hosts"], strict=True):
        if undecided and row["transaction"]:
            continue
        version = scene.ask(host).version
        if (works := scene.works(host)) != [version]:
            broken.append(f"{host.name} serves {version}, its background processes are of {works}")
        # It runs on the first host alone.
        if host is scene.hosts[0] and (ran := scene.begin_job(host)) != version:
            broken.append(f"{host.name} serves {version}, its periodic job is of {ran!r}")
        broken += [f"status says of {each['name']}: {each['why']}" for each in row["processes"] if not each["ok"]]
    return broken


def plan_hold(scene: Scene) -> Plan:
    # Nobody sees the new one.
    scene.next_version()
    return Plan(("deploy", "--hold", "--yes", *IN_TEST), scene.version)


def look_at_held(scene: Scene, _old: str, done: Finished, undecided: bool) -> list[str]:
    broken = []
    rows = scene.status["hosts"]
    for host, row in zip(scene.hosts, rows, strict=True):
        held = row["held"]
        if held and not held["ok"] and not undecided:
            broken.append(f"{host.name} holds {held['release']}, which is not well: {held['why']}")
        if held and held["ok"] and host.get(held["port"]).status != 200:
            broken.append(f"{host.name} does not answer on port {held['port']}, where it holds a release")
        if done.returncode == 0 and not held:
            broken.append(f"the client reported a held release, {host.name} holds none")
    return broken


def plan_promotion(scene: Scene) -> Plan:
    version = scene.next_version()
    scene.must("deploy", "--hold", "--yes", *IN_TEST)
    return Plan(("promote", *IN_TEST), version)


def plan_scale(scene: Scene) -> Plan:
    row = scene.status["hosts"][0]["scale"]
    scene.numbers = {name: 3 - row.get(name, 1) for name in ("web", "worker")}
    return Plan(("scale", *(f"{name}={number}" for name, number in scene.numbers.items()), *IN_TEST), scene.version)


def look_at_numbers(scene: Scene, _old: str, done: Finished, _undecided: bool) -> list[str]:
    broken = []
    before = {name: 3 - number for name, number in scene.numbers.items()}
    for host, row in zip(scene.hosts, scene.status["hosts"], strict=True):
        scale = {"web": 1, "worker": 1, **row["scale"]}
        runs = scene.workers(host)
        told = sum(process["ok"] for process in row["processes"])
        if runs != told:
            broken.append(f"{host.name} runs {runs} workers, status says {told}")
        if row["ok"] and runs != scale["worker"]:
            broken.append(f"{host.name} runs {runs} workers, status says that all is well with {scale['worker']}")
        promised = {0: scene.numbers, 2: before, 3: before, 5: before, 130: before}.get(done.returncode)
        if promised is not None and (scale != promised or runs != promised["worker"]):
            broken.append(f"the client ended with {done.returncode}, {host.name} runs {runs} workers and has {scale}")
    return broken


def plan_maintenance(scene: Scene) -> Plan:
    return Plan(("maintenance", "on", *IN_TEST), scene.version)


def look_at_pages(scene: Scene, _old: str, done: Finished, _undecided: bool) -> list[str]:
    """All hosts serve the page or none, where the client lived to say so; afterwards it is taken away."""
    broken = []
    for host, row in zip(scene.hosts, scene.status["hosts"], strict=True):
        served = scene.serves_page(host)
        if served != bool(row["maintenance"]):
            broken.append(f"{host.name} serves {'the page' if served else 'the service'}, status: {row['maintenance']}")
        promised = {0: True, 2: False, 3: False, 5: False, 130: False}.get(done.returncode)
        if promised not in (None, served):
            broken.append(f"the client ended with {done.returncode}, {host.name} serves a page: {served}")
    scene.must("maintenance", "off", *IN_TEST)
    return broken + [f"{host.name} serves the page after `off`" for host in scene.hosts if scene.serves_page(host)]


DEPLOY = Command(
    "deploy", (*UNTIL_PREPARED, "migrating", "migrated", *FROM_ACTIVATION, *SWITCH, DECIDED), plan_deploy, weight=8
)
ROLLBACK = Command("rollback", ("begun", *FROM_ACTIVATION, *SWITCH, DECIDED), plan_rollback, sends=0.6, weight=3)
SCHEMA_ROLLBACK = Command(
    "rollback --with-migrations", ("begun", "lowering", "lowered", *FROM_ACTIVATION, *SWITCH, DECIDED),
    plan_schema_rollback, look_at_schema, strategies=("restart", "blue-green"), kind="schema", sends=0.6, weight=3,
)  # fmt: skip
PROCESSES = Command(
    "deploy with a worker and a job", DEPLOY.steps, plan_deploy, look_at_processes, kind="jobs", weight=4
)
PROCESSES_ROLLBACK = Command(
    "rollback with a worker and a job", ROLLBACK.steps, plan_rollback, look_at_processes, kind="jobs", sends=0.6,
)  # fmt: skip
HOLD = Command(
    "deploy --hold", (*UNTIL_PREPARED, *FROM_ACTIVATION, DECIDED, "held"), plan_hold, look_at_held,
    strategies=("blue-green",),
)  # fmt: skip
PROMOTE = Command(
    "promote", (*FROM_ACTIVATION, *SWITCH, DECIDED), plan_promotion, strategies=("blue-green",), sends=0.6, weight=3
)
CANARY = Command(
    "deploy of a canary",
    (*UNTIL_PREPARED, *FROM_ACTIVATION, *SWITCH, DECIDED),
    plan_deploy,
    strategies=("canary",),
    weight=3,
)
SCALE = Command(
    "scale", (CHANGED,), plan_scale, look_at_numbers, strategies=("restart", "blue-green"), kind="workers",
    returncodes=(3, 4, 5, 6), sends=0.35, watched="{folder}/scale.json",
)  # fmt: skip
MAINTENANCE = Command(
    "maintenance on", (CHANGED,), plan_maintenance, look_at_pages, strategies=("blue-green",),
    returncodes=(3, 4, 5, 6), sends=0.35, watched="/etc/caddy/handrail/{app}.maintenance",
)  # fmt: skip

COMMANDS = {
    command.name: command
    for command in (
        DEPLOY, PROCESSES, ROLLBACK, PROCESSES_ROLLBACK, SCHEMA_ROLLBACK, HOLD, PROMOTE, CANARY, SCALE, MAINTENANCE,
    )
}  # fmt: skip
