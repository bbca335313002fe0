"""The faults there are. ``row`` is the row of docs/reliability.md that a fault belongs to."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from handrail.testing.faults.commands import DECIDED, FROM_ACTIVATION, UNTIL_PREPARED
from handrail.testing.faults.moments import AGENT, GUARDIAN, send
from handrail.testing.faults.scene import LEASE, SMALL, Scene
from handrail.testing.host import wait_until

if TYPE_CHECKING:
    from handrail.testing.faults.strike import Strike

Work = Callable[["Strike"], None]
BASHRC = "/home/deploy/.bashrc"
# Stands before the host's own python3, and changes nothing but the date in what is given with -c, as the agent is.
WRONG_CLOCK = """\
#!/bin/sh
flags=
while [ $# -gt 0 ] && [ "$1" != -c ]; do
    flags="$flags $1"
    shift
done
[ "$1" = -c ] || exec /usr/bin/python3 $flags
code="$2"
shift 2
exec /usr/bin/python3 $flags -c "import time; time.time = (lambda now: lambda: now() + {seconds})(time.time)
$code" "$@"
"""
ALL = (*UNTIL_PREPARED, *FROM_ACTIVATION)
WITH_DECISION = (*ALL, DECIDED, "held")
# Per cent of what a client sends in a deploy: in the key exchange, before the agent, in the upload, and among its last
# words.
CUTS = (0.3, 4, 15, 50, 80, 92, 97)


@dataclass(frozen=True)
class Fault:
    """One way to break a deploy, and as a rule other commands.

    Args:
        moments: steps of the journal at which it may strike; empty: it is there from the beginning.
        ready: done first of all.
        before: done before the client starts; ``inject``: done at the moment.
        happened: whether it has struck, asked when the client has ended: what waits for something may have come too
            late.
        returncodes: how a client that lives may end.
        small: needs the app on a file system that can be filled.
        commands: ``deploy`` for what only a deploy can meet, ``journal`` for what every command can that keeps a
            journal, ``all`` for the others, too.
        undecided: nobody is left on the host who could decide, until somebody takes the lock.
        weight: how often a campaign draws it; those that wait for long are rare.
    """

    name: str
    row: int
    moments: tuple[str, ...] = ()
    ready: Callable[[Scene], None] = lambda _: None
    before: Work | None = None
    inject: Work | None = None
    happened: Callable[[Strike], bool] = lambda _: True
    returncodes: tuple[int, ...] = (0,)
    small: bool = False
    commands: Literal["deploy", "journal", "all"] = "journal"
    undecided: bool = False
    weight: int = 4


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


def kill_agent_and_guardian(strike: Strike) -> None:
    kill_guardian(strike)
    kill_agent(strike)


def kill_everything_of_the_user(strike: Strike) -> None:
    """Agent, guardian, service and SSH sessions at once; systemd starts the service again."""
    strike.host.run_as_root("pkill -KILL -u deploy || true")


def freeze_agent(strike: Strike) -> None:
    """Leave the agent stopped, as the watcher did, until the lease is over; the guardian runs."""
    time.sleep(LEASE + 1.5)


def kill_service(strike: Strike) -> None:
    app = strike.scene.project.app
    strike.host.run_as_root(f"systemctl kill --signal=KILL '{app}-*' || true")


def kill_sshd(strike: Strike) -> None:
    """Kill the server and all its sessions; systemd starts the server again."""
    strike.host.run_as_root("pkill -KILL sshd; systemctl restart ssh")


def cut(strike: Strike) -> None:
    strike.wire.cut()


def cut_after_share(per_cent: float, strike: Strike) -> None:
    wire = strike.wire
    wire.cut_at = wire.sent + max(1, int(strike.scene.bytes_of_a_deploy(wire) * per_cent / 100))
    # It may send less than that.
    strike.after.callback(setattr, wire, "cut_at", 0)


def pull_cable(strike: Strike) -> None:
    strike.wire.freeze()
    strike.after.callback(strike.wire.thaw)


def freeze_host(strike: Strike) -> None:
    """Stop the whole machine for longer than the lease, as a hypervisor does."""
    container = strike.host.container
    # On a busy machine the kernel does not always freeze all processes at the first try.
    pause = ["docker", "pause", container]
    wait_until(lambda: subprocess.run(pause, capture_output=True).returncode == 0, "a frozen host", 20)
    # Time must pass here: nothing in a frozen machine can be awaited.
    time.sleep(LEASE + 1)
    subprocess.run(["docker", "unpause", container], check=True, capture_output=True)


def reboot(strike: Strike) -> None:
    strike.host.reboot()


def be_sick(strike: Strike) -> None:
    # A release that is to be held is served by nobody, and all the same has to be well.
    version = strike.version if strike.version != strike.scene.version else strike.scene.newest
    strike.host.run_as_root(f"echo {version} > /home/deploy/sick")
    strike.after.callback(strike.host.run_as_root, "rm -f /home/deploy/sick")


def crash_at_start(strike: Strike) -> None:
    strike.scene.project.write("serve.py", "raise SystemExit('the settings are incomplete')\n")
    strike.scene.project.commit("a release that does not start")


def fill_disk(strike: Strike) -> None:
    strike.host.run_as_root(f"dd if=/dev/zero of={SMALL}/filler bs=64k 2>/dev/null || true; echo full")
    strike.after.callback(strike.host.run_as_root, f"rm -f {SMALL}/filler")


def fill_disk_and_kill_client(strike: Strike) -> None:
    fill_disk(strike)
    kill_client(signal.SIGKILL, strike)
    assert strike.watcher is not None
    strike.watcher.go_on()
    # The host must return with the disk still full.
    wait_until(partial(strike.scene.lock_is_free, strike.host), f"{strike.host.name} to return by itself", 30)


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
    """Set the clock wrong for the agent and its guardian: a container has its machine's, so they are told another.

    Not with libfaketime: it also changes the clock that measures spans of time, but not every wait that goes by it.
    """
    host, folder = strike.host, "/home/deploy/wrong-clock"
    script = WRONG_CLOCK.replace("{seconds}", str(days * 86400))
    host.run_as_root(f"mkdir -p {folder}; cat > {folder}/python3; chmod 755 {folder}/python3", stdin=script)
    # The first line: what comes later in Debian's file is for interactive shells.
    host.run_as_root(f"sed -i '1i export PATH={folder}:$PATH' {BASHRC}")
    strike.after.callback(host.run_as_root, f"sed -i '/wrong-clock/d' {BASHRC}; rm -rf {folder}")
    off = float(host.run("python3 -I -S -c 'import time; print(time.time())'").stdout) - time.time()
    assert abs(off - days * 86400) < 3600, "the host's clock is right"


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


def cut_after(per_cent: float) -> Fault:
    """Return the fault that cuts the connection once, after this share of the bytes that a deploy sends."""
    # Which step that is, depends: the engine may connect again, refuse (3), give up (4) or return (5).
    name = f"connection cut after {per_cent:g} % of a deploy's bytes"
    # The first deploy brings the agent, too: what the others send is known after the second.
    return Fault(
        name, 16, before=partial(cut_after_share, per_cent), ready=Scene.make_two,
        happened=lambda strike: not strike.wire.cut_at,
        returncodes=(0, 3, 4, 5), commands="all",
    )  # fmt: skip


def client_was_killed(strike: Strike) -> bool:
    """Return whether SIGKILL met a client that still ran; the work before it takes time, too."""
    return strike.client is not None and strike.client.returncode != 0


INTERRUPTED, TERMINATED = partial(kill_client, signal.SIGINT), partial(kill_client, signal.SIGTERM)
CLIENT_DIES = partial(kill_client, signal.SIGKILL)

CATALOGUE: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("client gets SIGINT", 1, WITH_DECISION, inject=INTERRUPTED, returncodes=(130, 0), commands="all"),
        Fault("client gets SIGTERM", 1, WITH_DECISION, inject=TERMINATED, returncodes=(130, 0), commands="all"),
        Fault(
            "client gets SIGKILL", 1, WITH_DECISION, inject=CLIENT_DIES, returncodes=(-9,),
            happened=client_was_killed, commands="all",
        ),
        Fault(
            "client, agent and guardian killed", 1, (*FROM_ACTIVATION, "decided"), inject=kill_all_three,
            returncodes=(-9,), happened=client_was_killed, undecided=True,
        ),
        Fault("cable pulled", 1, FROM_ACTIVATION, inject=pull_cable, returncodes=(4, 5, 6), weight=1),
        Fault("a dead deploy's link", 2, before=leave_a_link, commands="deploy"),
        Fault("one host unhealthy", 3, before=be_sick, returncodes=(5,)),
        Fault("release does not start", 3, before=crash_at_start, returncodes=(5,), commands="deploy"),
        Fault("migration killed by a signal", 4, before=end_migration_by_signal, returncodes=(4,), commands="deploy"),
        Fault("agent killed", 4, WITH_DECISION, inject=kill_agent, returncodes=(0, 4, 5), commands="all"),
        Fault("agent and guardian killed", 5, FROM_ACTIVATION, inject=kill_agent_and_guardian, returncodes=(0, 4, 5)),
        Fault("guardian killed", 5, FROM_ACTIVATION, inject=kill_guardian),
        # The stopped agent may give up meanwhile.
        Fault("two deploys at once", 6, ALL, inject=deploy_at_the_same_time, returncodes=(0, 4, 5), commands="deploy"),
        Fault(
            "disk full while unpacking", 7, UNTIL_PREPARED, inject=fill_disk, returncodes=(0, 4, 5), small=True,
            commands="deploy",
        ),
        Fault(
            "inodes used up while unpacking", 7, UNTIL_PREPARED, inject=use_up_inodes, returncodes=(0, 4, 5),
            small=True, commands="deploy",
        ),
        Fault("disk full before", 7, before=fill_disk, returncodes=(3,), small=True, commands="deploy"),
        Fault("disk full after activation", 7, FROM_ACTIVATION, inject=fill_disk, returncodes=(0, 5), small=True),
        Fault(
            "inodes used up after activation", 7, FROM_ACTIVATION, inject=use_up_inodes, returncodes=(0, 5), small=True,
        ),
        Fault(
            "disk full and client killed", 7, FROM_ACTIVATION, inject=fill_disk_and_kill_client,
            returncodes=(-9,), happened=client_was_killed, small=True,
        ),
        Fault("clock a year back", 13, before=partial(skew_clock, -366)),
        Fault("clock a year ahead", 13, before=partial(skew_clock, 366)),
        Fault("service killed", 15, FROM_ACTIVATION, inject=kill_service, returncodes=(0, 5)),
        Fault("connection cut", 16, WITH_DECISION, inject=cut, returncodes=(0, 4, 5), commands="all"),
        *(cut_after(per_cent) for per_cent in CUTS),
        Fault("agent frozen", 16, ALL, inject=freeze_agent, returncodes=(0, 4, 5)),
        Fault("host frozen", 16, WITH_DECISION, inject=freeze_host, returncodes=(0, 4, 5), commands="all"),
        Fault(
            "host rebooted", 17, ALL, inject=reboot, returncodes=(0, 3, 4, 5, 6), undecided=True, weight=1
        ),
        Fault(
            "all of the user's processes killed", 17, ALL, inject=kill_everything_of_the_user,
            returncodes=(0, 4, 5), undecided=True,
        ),
        Fault("sshd killed", 18, WITH_DECISION, inject=kill_sshd, returncodes=(0, 4, 5), commands="all"),
        Fault("sshd refuses", 18, before=refuse_connections, returncodes=(0, 3), commands="all"),
    )
}  # fmt: skip
