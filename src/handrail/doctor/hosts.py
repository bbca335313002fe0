"""``inv doctor --env E``: each host in one round trip, and what its facts mean as findings."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.diagnosis import Diagnosis
from handrail.doctor.sudoers import allowed, missing_rights
from handrail.errors import HandrailError, UnreachableError

if TYPE_CHECKING:
    from handrail.config.target import Target
    from handrail.deploy.session import Session

# Seconds by which a host's clock may be wrong before certificates and logs suffer.
CLOCK = 5.0
# Seconds that each SSH command may wait for the shell's files.
SHELL = 0.25


def look_at_hosts(
    target: Target, root: Path, hosts: Sequence[str]
) -> tuple[dict[str, list[Diagnosis]], dict[str, dict[str, Any]]]:
    """Return (findings, facts) by host, in the hosts' order; a host without findings is well."""
    from handrail.deploy.fleet import Fleet

    ports = sorted({target.port, *(target.slots.values() if target.proxy else ())}) if target.service else []

    def look(session: Session) -> dict[str, Any]:
        session.ask_with_hello("examine", ports=ports, python=target.python)
        started = time.time()
        facts = session.open()
        answered = time.time()
        examined = session.wait(session.asked)
        # Somewhere between the two the host has looked at its clock.
        facts["clock_off"] = round(max(started - facts["clock"], facts["clock"] - answered, 0.0), 3)
        facts["connect_seconds"] = round(answered - started, 3)
        return {**facts, "examined": examined}

    with Fleet(target, root, hosts) as fleet:
        found, failures = fleet.each("", look, narrow=True)
    findings: dict[str, list[Diagnosis]] = {}
    for host in hosts:
        if host in failures:
            findings[host] = [unreachable(host, failures[host])]
        else:
            findings[host] = list(judge(host, found[host], target))
    return findings, {host: told(facts) for host, facts in found.items()}


def told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a host's facts for ``--json``: what it is, not its history."""
    examined = facts["examined"]
    kept = ("host", "user", "system", "machine", "pythons", "disk", "clock_off", "connect_seconds", "current")
    return {
        **{name: facts[name] for name in kept},
        **{name: examined[name] for name in ("folders", "release", "uv", "systemd", "ports", "shell")},
    }


def remark(facts: Mapping[str, Any]) -> str:
    """Return a host that is well in one line."""
    shell = facts["shell"]
    newest = max(facts["pythons"], key=lambda version: [int(part) for part in version.split(".")])
    return (
        f"Python {newest}, {facts['disk']['free'] / 2**30:.1f} GiB free, answered in {facts['connect_seconds']:.2f} s, "
        f"a command costs {max(0.0, shell['command']):.3f} s"
    )


def unreachable(host: str, error: HandrailError) -> Diagnosis:
    """Return the finding for a host that could not be looked at."""
    message = error.beside(host)
    code = "host-unreachable" if isinstance(error, UnreachableError) else "host-refused"
    if "host key" in message:
        code = "host-key"
    elif "python3" in message:
        code = "host-python"
    return Diagnosis(code, "error", message, host=host, mend=error.next_step)


def judge(host: str, facts: Mapping[str, Any], target: Target) -> Iterator[Diagnosis]:
    """Yield what is wrong on one host, by its facts."""
    setup = f"inv host.setup --env {target.environment} --login ADMIN"
    for code, level, message, mend in [
        *_python(facts, target, setup),
        *_folders(facts, setup),
        *_disk(facts, target),
        *_clock(facts),
        *_manager(facts, target, setup),
        *_ports(facts, target),
        *_shell(facts),
    ]:
        yield Diagnosis(code, level, message, host=host, mend=mend)


Fact = tuple[str, Any, str, str]


def _python(facts: Mapping[str, Any], target: Target, setup: str) -> Iterator[Fact]:
    works = facts["examined"]["python"]
    if works is False:
        have = ", ".join(sorted(facts["pythons"]))
        state = "is there and lacks ssl, zlib or venv" if target.python in facts["pythons"] else "is not there"
        yield "host-python", "error", f"Python {target.python} {state}; it has {have}", setup


def _folders(facts: Mapping[str, Any], setup: str) -> Iterator[Fact]:
    for folder in facts["examined"]["folders"]:
        if not folder["writable"]:
            at = "" if folder["nearest"] == folder["path"] else f" ({folder['nearest']} is the nearest that exists)"
            message = f"{facts['user']} cannot write to {folder['path']}{at}: it belongs to {folder['owner']}"
            yield "host-not-writable", "error", message, setup
        elif folder["noexec"]:
            message = f"{folder['path']} is on a disk without programs (noexec): no release could be started there"
            yield "host-noexec", "error", message, "mount it without noexec, or choose another root"


def _disk(facts: Mapping[str, Any], target: Target) -> Iterator[Fact]:
    disk, release = facts["disk"], facts["examined"]["release"]
    size = release or {"bytes": 0, "files": 0}
    need = 2 * size["bytes"] + (target.reserve << 20)
    what = f"two more releases of {size['bytes'] / 2**20:.0f} MiB and" if release else ""
    mend = f"free some, or keep fewer releases (keep is {target.keep})"
    if disk["free"] < need:
        message = f"{disk['free'] / 2**20:.0f} MiB are free; {what} the reserve need {need / 2**20:.0f} MiB"
        yield "host-disk", "error", " ".join(message.split()), mend
    inodes = 2 * size["files"] + 1000
    if disk["inodes"] and disk["inodes_free"] < inodes:
        message = f"{disk['inodes_free']} inodes are free; two more releases need {inodes}"
        yield "host-inodes", "error", message, mend


def _clock(facts: Mapping[str, Any]) -> Iterator[Fact]:
    off = facts["clock_off"]
    if off > CLOCK:
        message = f"its clock is {off:.0f} s off from this machine's: certificates, tokens and logs suffer"
        yield "host-clock", "warning", message, "timedatectl set-ntp true, on whichever is wrong"


def _manager(facts: Mapping[str, Any], target: Target, setup: str) -> Iterator[Fact]:
    from handrail.deploy.release import service_for
    from handrail.runtime.rights import root_commands

    if target.service is None:
        return
    examined = facts["examined"]
    if target.manager == "systemd" and not examined["systemd"]:
        yield "host-manager", "error", "systemd does not run here", 'manager = "supervisor", or another host'
        return
    try:
        service = service_for(target, facts)
    except HandrailError as error:
        yield "host-manager", "error", error.message, error.next_step or setup
        return
    needed = root_commands(service) if service else []
    if not needed or facts["uid"] == 0:
        answer = examined["supervisor"]
        if target.manager == "supervisor" and answer and answer["code"] != 0:
            yield "host-manager", "error", f"supervisor does not answer: {answer['line']}", "start supervisord there"
        return
    sudo = examined["sudo"]
    if sudo["code"] == 127:
        yield "host-rights", "error", f"{facts['user']} needs sudo for {target.manager}, and there is none", setup
        return
    missing = missing_rights(needed, allowed(sudo["lines"]))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        message = f"{facts['user']} may not run `{missing[0]}`{more} as root without a password"
        yield "host-rights", "error", message, setup


def _ports(facts: Mapping[str, Any], target: Target) -> Iterator[Fact]:
    for port in facts["examined"]["ports"]:
        # Without a process to see: our own service runs as another user only where a person has set it up so.
        if not port["used"] or port["ours"]:
            continue
        who = f"pid {port['pid']} ({port['command'] or 'unknown'})" if port["pid"] else "a process that cannot be seen"
        by = f" of {port['user']}" if port["user"] else ""
        yield "host-port", "error", f"port {port['port']} is in use by {who}{by}", "end it, or change the port"


def _shell(facts: Mapping[str, Any]) -> Iterator[Fact]:
    shell = facts["examined"]["shell"]
    cost = shell["command"] - shell["bare"]
    if cost > SHELL:
        yield (
            "host-shell-slow",
            "warning",
            f"each SSH command waits {cost:.1f} s for the shell{_culprit(shell, ('command',))}",
            "let it return at once where the shell is not interactive: case $- in *i*) ;; *) return;; esac",
        )
    elif shell["login"] - shell["bare"] > SHELL:
        message = f"a login waits {shell['login'] - shell['bare']:.1f} s for the shell"
        yield "host-login-slow", "notice", f"{message}{_culprit(shell, ('command', 'login'))}; deploys do not", ""
    if shell["said"]:
        first = shell["said"][0][:60]
        yield (
            "host-shell-talks",
            "warning",
            f"the shell's start-up files print (`{first}`) for a command too: rsync and scp fail over that",
            "print only where the shell is interactive",
        )


def _culprit(shell: Mapping[str, Any], kinds: Sequence[str]) -> str:
    """Return which file takes the time: the slowest that is not slow only because of another one that it reads."""
    files = {file["path"]: file for file in shell["files"] if file["kind"] in kinds}
    slow = {path: file["seconds"] - shell["bare"] for path, file in files.items()}
    for path in sorted(slow, key=lambda path: -slow[path]):
        inner = [other for other in files[path]["names"] if slow.get(other, 0.0) >= 0.7 * slow[path]]
        if slow[path] > SHELL / 2 and not inner:
            return f": {path} takes {slow[path]:.1f} s"
    return f" ({shell['shell']})"
