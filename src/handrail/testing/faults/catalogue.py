"""The faults there are. ``row`` is the row of docs/reliability.md that a fault belongs to."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from handrail.testing.faults.moments import AGENT, GUARDIAN, send
from handrail.testing.faults.scene import LEASE, SMALL

if TYPE_CHECKING:
    from handrail.testing.faults.strike import Strike

Work = Callable[["Strike"], None]
UNTIL_PREPARED = ("begun", "prepared")
FROM_ACTIVATION = ("activating", "activated")
ALL = (*UNTIL_PREPARED, *FROM_ACTIVATION)


@dataclass(frozen=True)
class Fault:
    """One way to break a deploy.

    Args:
        moments: steps of the journal at which it may strike; empty: it is there from the beginning.
        before: done before the client starts; ``inject``: done at the moment.
        returncodes: how a client that lives may end.
        small: needs the app on a file system that can be filled.
    """

    name: str
    row: int
    moments: tuple[str, ...] = ()
    before: Work | None = None
    inject: Work | None = None
    returncodes: tuple[int, ...] = (0,)
    small: bool = False


def kill_client(number: signal.Signals, strike: Strike) -> None:
    assert strike.client is not None
    # SIGKILL takes its children too, as a closed laptop does; the others go to the program, as Ctrl-C and CI do.
    if number == signal.SIGKILL:
        os.killpg(strike.client.pid, number)
    else:
        os.kill(strike.client.pid, number)


def kill_agent(strike: Strike) -> None:
    send(strike.host, AGENT, signal.SIGKILL)


def kill_guardian(strike: Strike) -> None:
    send(strike.host, GUARDIAN, signal.SIGKILL)


def kill_all_three(strike: Strike) -> None:
    kill_client(signal.SIGKILL, strike)
    kill_guardian(strike)
    kill_agent(strike)


def kill_service(strike: Strike) -> None:
    app = strike.scene.project.app
    strike.host.run_as_root(f"systemctl kill --signal=KILL '{app}-*' || true")


def kill_sshd(strike: Strike) -> None:
    """Kill the server and all its sessions; systemd starts the server again."""
    strike.host.run_as_root("pkill -KILL sshd; systemctl restart ssh")


def cut(strike: Strike) -> None:
    strike.wire.cut()


def cut_after_bytes(count: int, strike: Strike) -> None:
    strike.wire.cut_at = strike.wire.sent + count


def pull_cable(strike: Strike) -> None:
    strike.wire.freeze()
    strike.after.callback(strike.wire.thaw)


def freeze_host(strike: Strike) -> None:
    """Stop the whole machine for longer than the lease, as a hypervisor does."""
    container = strike.host.container
    subprocess.run(["docker", "pause", container], check=True, capture_output=True)
    # Time must pass here: nothing in a frozen machine can be awaited.
    time.sleep(LEASE + 1)
    subprocess.run(["docker", "unpause", container], check=True, capture_output=True)


def reboot(strike: Strike) -> None:
    strike.host.reboot()


def be_sick(strike: Strike) -> None:
    strike.host.run_as_root(f"echo {strike.version} > /home/deploy/sick")
    strike.after.callback(strike.host.run_as_root, "rm -f /home/deploy/sick")


def fill_disk(strike: Strike) -> None:
    strike.host.run_as_root(f"dd if=/dev/zero of={SMALL}/filler bs=64k 2>/dev/null || true; echo full")
    strike.after.callback(strike.host.run_as_root, f"rm -f {SMALL}/filler")


def use_up_inodes(strike: Strike) -> None:
    strike.host.run_as_root(f"mkdir -p {SMALL}/many && cd {SMALL}/many && seq 7000 | xargs touch 2>/dev/null || true")
    strike.after.callback(strike.host.run_as_root, f"rm -rf {SMALL}/many")


def refuse_connections(strike: Strike) -> None:
    """Let sshd drop most connections that have not logged in yet, and allow one session for each of the others."""
    host = strike.host
    host.run_as_root(
        "printf 'MaxStartups 1:70:2\\nMaxSessions 1\\n' > /etc/ssh/sshd_config.d/few.conf; systemctl reload ssh"
    )
    strike.after.callback(host.run_as_root, "rm -f /etc/ssh/sshd_config.d/few.conf; systemctl reload ssh")


def leave_a_link(strike: Strike) -> None:
    """Leave what a deployer leaves that dies between making its link and renaming it."""
    folder = strike.scene.folder
    strike.host.run_as_root(
        f"su deploy -c 'ln -s releases/999-dead {folder}/current.1.1.tmp; mkdir -p {folder}/releases/999-dead'"
    )


def skew_clock(days: int, strike: Strike) -> None:
    """Set the agent's clock wrong: a container has its machine's, so its programs are told another one."""
    library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
    line = f"export LD_PRELOAD={library} FAKETIME={days:+d}d"
    strike.host.run_as_root(f"test -e {library} && sed -i '1i {line}' /home/deploy/.bashrc")
    strike.after.callback(strike.host.run_as_root, "sed -i '/libfaketime/d' /home/deploy/.bashrc")


def deploy_at_the_same_time(strike: Strike) -> None:
    """Start a second deploy from the same checkout while the first one holds the lock."""
    second = strike.scene.project.start("deploy", "--env", "test", "--yes", "--json")
    _, error = second.communicate(timeout=60)
    if second.returncode != 7:
        raise AssertionError(f"the second deploy ended with {second.returncode}, not with 7 (locked)\n{error}")


def end_migration_by_signal(strike: Strike) -> None:
    project = strike.scene.project
    project.configure(service={"migrate": "sh -c 'kill -KILL $$'"})
    project.commit("a migration that is killed")

    def take_back() -> None:
        project.configure(service={"migrate": ""})

    strike.after.callback(take_back)


CATALOGUE: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("client gets SIGINT", 1, ALL, inject=partial(kill_client, signal.SIGINT), returncodes=(130, 0)),
        Fault("client gets SIGTERM", 1, ALL, inject=partial(kill_client, signal.SIGTERM), returncodes=(130, 0)),
        Fault("client gets SIGKILL", 1, ALL, inject=partial(kill_client, signal.SIGKILL), returncodes=(-9,)),
        Fault("client, agent and guardian killed", 1, FROM_ACTIVATION, inject=kill_all_three, returncodes=(-9,)),
        Fault("cable pulled", 1, FROM_ACTIVATION, inject=pull_cable, returncodes=(4, 5, 6)),
        Fault("a dead deploy's link", 2, before=leave_a_link),
        Fault("one host unhealthy", 3, before=be_sick, returncodes=(5,)),
        Fault("migration killed by a signal", 4, before=end_migration_by_signal, returncodes=(4,)),
        Fault("agent killed", 4, ALL, inject=kill_agent, returncodes=(0, 4, 5)),
        Fault("guardian killed", 5, FROM_ACTIVATION, inject=kill_guardian),
        Fault("two deploys at once", 6, ALL, inject=deploy_at_the_same_time),
        Fault("disk full while unpacking", 7, ("begun",), inject=fill_disk, returncodes=(4,), small=True),
        Fault("inodes used up", 7, ("begun",), inject=use_up_inodes, returncodes=(4,), small=True),
        Fault("disk full before", 7, before=fill_disk, returncodes=(3,), small=True),
        Fault("clock a year back", 13, before=partial(skew_clock, -365)),
        Fault("clock a year ahead", 13, before=partial(skew_clock, 365)),
        Fault("service killed", 15, FROM_ACTIVATION, inject=kill_service, returncodes=(0, 5)),
        Fault("connection cut", 16, ALL, inject=cut, returncodes=(0, 4, 5)),
        *(
            Fault(
                f"connection cut after {size} bytes",
                16,
                before=partial(cut_after_bytes, size),
                returncodes=(0, 3, 4, 5),
            )
            for size in (100, 1500, 6000, 20000, 28000, 30000, 32000)
        ),
        Fault("host frozen", 16, ALL, inject=freeze_host, returncodes=(0, 4, 5)),
        Fault("host rebooted", 17, ALL, inject=reboot, returncodes=(3, 4, 5, 6)),
        Fault("sshd killed", 18, ALL, inject=kill_sshd, returncodes=(0, 4, 5)),
        Fault("sshd refuses", 18, before=refuse_connections, returncodes=(0, 3)),
    )
}
