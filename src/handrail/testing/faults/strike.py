"""One fault in one command, and the question whether anything is broken afterwards."""

from __future__ import annotations

import signal
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from handrail.testing.container import ContainerHost
from handrail.testing.faults.commands import DEPLOY, PROMOTE, Command
from handrail.testing.faults.moments import Watcher
from handrail.testing.faults.scene import Scene
from handrail.testing.host import wait_until
from handrail.testing.project import Finished, finish
from handrail.testing.wire import Wire

if TYPE_CHECKING:
    from handrail.testing.faults.catalogue import Fault

# An exit code's promise about the hosts, where the client lived to give one.
SERVES_BEFORE = (2, 3, 4, 5, 7, 130)


@dataclass
class Strike:
    """What a fault gets to work with: the scene, the running client, and the host that it is about."""

    scene: Scene
    client: subprocess.Popen[str] | None
    host: ContainerHost
    wire: Wire[ContainerHost]
    version: str
    watcher: Watcher | None = None
    after: ExitStack = field(default_factory=ExitStack)
    """Repairs, made when the client has ended: what breaks a machine is over some day."""


@dataclass(frozen=True)
class Outcome:
    """How a command with a fault ended; ``broken`` is what must never be."""

    fault: str
    moment: str
    reached: bool
    returncode: int
    serves: list[str]
    broken: list[str]
    client: Finished

    @property
    def word(self) -> str:
        """One word: ``new``, ``old`` or ``mixed``."""
        kinds = set(self.serves)
        return kinds.pop() if len(kinds) == 1 else "mixed"


def strike(
    scene: Scene,
    fault: Fault,
    moment: str = "",
    *,
    command: Command = DEPLOY,
    which: int = 0,
    delay: float = 0.0,
    go_on: bool = True,
) -> Outcome:
    """Run a command with a fault in it.

    Args:
        moment: the step at which it strikes; empty for a fault that is there from the beginning.
        which: number of the host that it is about.
        delay: seconds from that step to the fault.
        go_on: try the next deploy, too.
    """
    fault.ready(scene)
    plan = command.plan(scene)
    old, new, host, wire = scene.version, plan.new, scene.hosts[which], scene.wires[which]
    with ExitStack() as stack:
        repairs = stack.enter_context(ExitStack())
        watcher = None
        if moment:
            watcher = stack.enter_context(watch(scene, host, command, moment, delay))
        struck = Strike(scene, None, host, wire, new, watcher, repairs)
        if fault.before:
            fault.before(struck)
        struck.client = client = scene.project.start(*plan.words)
        reached = True
        if watcher is not None:
            wait_until(lambda: watcher.reached.is_set() or client.poll() is not None, f"step {moment}", 60)
            reached = watcher.reached.is_set()
        if reached and fault.inject:
            fault.inject(struck)
        if watcher is not None:
            watcher.go_on()
        done = last_word(finish(client, 120))
        reached = reached and fault.happened(struck)
    broken = scene.settle()
    broken += command.look(scene, old, done, fault.undecided)
    broken += look(scene, old, new, done, undecided=fault.undecided)
    allowed = (*fault.returncodes, *command.returncodes)
    if reached and done.returncode not in allowed:
        broken.append(f"the client ended with {done.returncode}, not with one of {allowed}\n{done}")
    versions = [scene.ask(each).version for each in scene.hosts]
    serves = ["new" if version == new != old else "old" for version in versions]
    scene.note(versions, is_decided=not fault.undecided)
    broken += scene.deploy_good() if go_on else []
    return Outcome(f"{command.name}: {fault.name}", moment, reached, done.returncode, serves, broken, done)


def last_word(done: Finished) -> Finished:
    """Return what a client said: one that a signal catches after its last word has already ended with that."""
    if done.returncode in (-signal.SIGINT, -signal.SIGTERM) and done.stdout.rstrip().endswith("}"):
        return replace(done, returncode=done.document["exit_code"])
    return done


def watch(scene: Scene, host: ContainerHost, command: Command, moment: str, delay: float) -> Watcher:
    if command.watched:
        path, old = command.watched.format(app=scene.project.app, folder=scene.folder), ""
    else:
        # A promotion goes on with the journal of what is held.
        path, old = f"{scene.folder}/tx/state.json", "" if command is PROMOTE else scene.deploy_id(host)
    return Watcher(host, path, old, command.steps_from(moment), delay)


def look(scene: Scene, old: str, new: str, done: Finished, *, undecided: bool = False) -> list[str]:
    """Return what is broken on any host, as sentences: what visitors get, what status says, what history says.

    Args:
        undecided: nobody is left on a host who could decide, so that ``uncommitted`` is the truth.
    """
    broken = []
    if "Traceback" in done.stderr:
        broken.append(f"a traceback reached the user\n{done.stderr}")
    status = scene.status
    if "hosts" not in status:
        return [*broken, f"inv status failed: {status}"]
    for host, row in zip(scene.hosts, status["hosts"], strict=True):
        serving = scene.ask(host)
        if serving.version not in {old, new} - {""}:
            broken.append(f"{host.name} serves {serving}, neither {old} nor {new}")
            continue
        if undecided and row["transaction"]:
            if row["running_release"] != serving.release:
                broken.append(f"{host.name} serves {serving.release}, status says that {row['running_release']} runs")
            continue
        if not row["release"] == row["running_release"] == serving.release:
            broken.append(
                f"{host.name} serves {serving.release}, status says {row['release']}, running {row['running_release']}"
            )
        # Events, such as another scale, are in the history, too, and are no releases.
        last = [entry for entry in scene.history(host) if "to" in entry][-1]
        if last["to"] != serving.release:
            broken.append(f"{host.name} serves {serving.release}, its history says {last['to']}")
        if done.returncode == 0 and serving.version != new:
            broken.append(f"the deploy reported success, {host.name} serves {serving.version}")
        if done.returncode in SERVES_BEFORE and serving.version != old:
            broken.append(f"the deploy ended with {done.returncode}, {host.name} serves {serving.version}")
    if status["state"] not in ("ok", "mixed", *(["uncommitted"] if undecided else [])):
        broken.append(f"status says {status['state']}: {[row['why'] for row in status['hosts']]}")
    return broken
