"""What a host's facts mean: each kind of trouble is one finding, and a well host has none."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handrail.agent import examining
from handrail.config.load import load_project
from handrail.config.target import Target, resolve
from handrail.config.values import load_values
from handrail.deploy.release import service_for
from handrail.diagnosis import Diagnosis
from handrail.doctor.hosts import judge, remark, told, unreachable
from handrail.doctor.sudoers import allowed, missing_rights
from handrail.errors import PreflightError, UnreachableError
from handrail.runtime.rights import render_sudoers, root_commands

pytestmark = pytest.mark.unit

MIB = 2**20
SHELL = {"shell": "/bin/bash", "bare": 0.002, "command": 0.01, "login": 0.02, "said": [], "files": []}
FACTS: dict[str, Any] = {
    "host": "web1", "user": "deploy", "uid": 0, "home": "/root", "folder": "/root/apps/shop", "system": "Linux",
    "machine": "x86_64", "pythons": {"3.9": "/usr/bin/python3.9", "3.11": "/usr/bin/python3.11"}, "supervisor": None,
    "disk": {"free": 5000 * MIB, "total": 9000 * MIB, "inodes": 100000, "inodes_free": 90000}, "current": "7-abc",
    "clock_off": 0.0, "connect_seconds": 0.3, "scale": {},
    "examined": {
        "folders": [
            {"path": "/root/apps", "nearest": "/root/apps", "owner": "root", "writable": True, "noexec": False}
        ],
        "release": {"bytes": 100 * MIB, "files": 3000}, "python": True, "uv": "", "systemd": True, "supervisor": None,
        "sudo": None, "ports": [{"port": 8000, "used": False}], "shell": SHELL,
    },
}  # fmt: skip


@pytest.fixture
def target(tmp_path: Path) -> Target:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.handrail]\napp = "shop"\nservice.command = "x"\nbuild.python = "3.11"\n'
        'environments.live.hosts = ["web1"]\n'
    )
    return resolve(load_project(tmp_path), "live", load_values(tmp_path, "live", process={}))


def facts(**changes: Any) -> dict[str, Any]:
    """Return a well host's facts with some of them changed, those of ``examine`` too."""
    changed = copy.deepcopy(FACTS)
    for name, value in changes.items():
        (changed["examined"] if name in changed["examined"] else changed)[name] = value
    return changed


def found(target: Target, **changes: Any) -> list[Diagnosis]:
    return list(judge("web1", facts(**changes), target))


def test_a_host_that_is_well_has_no_findings_and_one_line(target: Target) -> None:
    assert found(target) == []
    assert remark(told(facts())).startswith("Python 3.11, 4.9 GiB free")
    assert told(facts())["shell"] == SHELL


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "no Python": ({"python": False, "pythons": {"3.9": "x"}}, "host-python", "Python 3.11 is not there; it has 3.9"),
    "a broken Python": ({"python": False}, "host-python", "lacks ssl"),
    "no right to write": (
        {"folders": [{"path": "/a/b", "nearest": "/a", "owner": "bob", "writable": False, "noexec": False}]},
        "host-not-writable",
        "deploy cannot write to /a/b (/a is the nearest that exists): it belongs to bob",
    ),
    "a disk without programs": (
        {"folders": [{"path": "/a", "nearest": "/a", "owner": "x", "writable": True, "noexec": True}]},
        "host-noexec",
        "noexec",
    ),
    "a full disk": (
        {"disk": {"free": 300 * MIB, "inodes": 0, "inodes_free": 0}},
        "host-disk",
        "300 MiB are free; two more releases of 100 MiB and the reserve need 456 MiB",
    ),
    "no inodes": (
        {"disk": {"free": 9000 * MIB, "inodes": 8000, "inodes_free": 6999}},
        "host-inodes",
        "6999 inodes are free; two more releases need 7000",
    ),
    "a wrong clock": ({"clock_off": 61.0}, "host-clock", "61 s off"),
    "no systemd": ({"systemd": False}, "host-manager", "systemd does not run here"),
    "no sudo": ({"uid": 1000, "sudo": {"code": 127, "lines": []}}, "host-rights", "needs sudo"),
    "no rights": (
        {"uid": 1000, "sudo": {"code": 1, "lines": ["sudo: a password is required"]}},
        "host-rights",
        "may not run `/usr/bin/systemctl",
    ),
    "a taken port": (
        {"ports": [{"port": 8000, "used": True, "pid": 7, "user": "bob", "command": "nc -l", "ours": False}]},
        "host-port",
        "port 8000 is in use by pid 7 (nc -l) of bob",
    ),
    "a port taken by somebody hidden": (
        {"ports": [{"port": 8000, "used": True, "pid": 0, "user": "bob", "command": "", "ours": False}]},
        "host-port",
        "by a process that cannot be seen of bob",
    ),
    "a slow shell": (
        {
            "shell": {
                **SHELL,
                "command": 1.5,
                "files": [
                    {"path": "/h/.profile", "kind": "login", "seconds": 1.6, "names": ["/h/.bashrc"]},
                    {"path": "/h/.bashrc", "kind": "command", "seconds": 1.49, "names": []},
                ],
            }
        },
        "host-shell-slow",
        "each SSH command waits 1.5 s for the shell: /h/.bashrc takes 1.5 s",
    ),
    "a slow login": (
        {
            "shell": {
                **SHELL,
                "login": 0.9,
                "files": [
                    {"path": "/h/.profile", "kind": "login", "seconds": 0.88, "names": ["/h/.bashrc"]},
                    {"path": "/h/.bashrc", "kind": "command", "seconds": 0.01, "names": []},
                ],
            }
        },
        "host-login-slow",
        "/h/.profile takes 0.9 s; deploys do not",
    ),
    "a shell that talks": ({"shell": {**SHELL, "said": ["hello"]}}, "host-shell-talks", "`hello`"),
}


@pytest.mark.parametrize(("changes", "code", "words"), CASES.values(), ids=CASES)
def test_a_trouble_is_one_finding(target: Target, changes: dict[str, Any], code: str, words: str) -> None:
    (finding,) = found(target, **changes)

    assert (finding.code, finding.host) == (code, "web1")
    assert words in finding.message


def test_a_port_that_our_own_service_has_is_no_trouble(target: Target) -> None:
    ours = {"port": 8000, "used": True, "pid": 7, "user": "deploy", "command": "gunicorn", "ours": True}

    assert found(target, ports=[ours]) == []


def test_a_host_that_cannot_be_looked_at_is_one_finding_that_says_why() -> None:
    assert unreachable("web1", UnreachableError("web1: cannot connect: timed out")).code == "host-unreachable"
    changed = unreachable(
        "web1", PreflightError("web1: cannot connect: the host key has CHANGED", next_step="ssh-keygen")
    )
    assert (changed.code, changed.mend) == ("host-key", "ssh-keygen")
    assert not changed.message.startswith("web1")
    assert unreachable("web1", PreflightError("it needs python3 (3.8 or newer) on its PATH")).code == "host-python"


HEADING = ["Matching Defaults entries for deploy on web1:", "    env_reset, mail_badpass", ""]
SAYS = "User deploy may run the following commands on web1:"


def listed(*entries: str) -> list[str]:
    return allowed([*HEADING, SAYS, *entries])


def test_the_rules_that_a_set_up_writes_allow_all_that_a_deploy_runs(target: Target) -> None:
    service = service_for(target, facts(uid=1000, home="/home/deploy", folder="/home/deploy/apps/shop"))
    assert service is not None
    commands = root_commands(service)
    text = render_sudoers("deploy", "shop", commands).split("NOPASSWD: ")[1].replace(", \\\n    ", ", ").strip()
    entry = f"    (root) NOPASSWD: {text}"

    assert missing_rights(commands, listed(entry)) == []
    # As an old sudo prints it, wrapped at 80 columns.
    assert missing_rights(commands, listed(*wrapped(entry))) == []
    fewer = listed(entry.replace("daemon-reload", "daemon-reexec"))
    assert [word for word in missing_rights(commands, fewer) if "daemon-reload" not in word] == []
    assert missing_rights(commands, fewer)


def wrapped(entry: str) -> list[str]:
    lines, rest = [], entry.strip()
    while len(rest) > 72:
        cut = rest.rindex(" ", 0, 72)
        lines.append(rest[:cut])
        rest = rest[cut + 1 :]
    lines.append(rest)
    return [f"    {lines[0]}", *(f"        {line}" for line in lines[1:])]


@pytest.mark.parametrize(
    ("entry", "may"),
    [
        ("    (ALL : ALL) NOPASSWD: ALL", True),
        ("    (ALL) ALL", False),
        ("    (root) PASSWD: /usr/bin/id, NOPASSWD: /usr/bin/systemctl", True),
        ("    (root) NOPASSWD: /usr/bin/id, PASSWD: /usr/bin/systemctl", False),
        ("    (postgres) NOPASSWD: ALL", False),
        ("    (root) NOPASSWD: /bin/systemctl * shop.service", True),
        ("    (root) NOPASSWD: /usr/bin/systemctl restart other.service", False),
        ("    (root) NOPASSWD: SETENV: /usr/bin/systemctl restart sho[op].service", True),
        ("    (root) NOPASSWD: /opt/systemctl", False),
        ('    (root) NOPASSWD: /usr/bin/systemctl ""', False),
        ("    (root) NOPASSWD: !/usr/bin/systemctl", False),
    ],
)
def test_a_rule_of_sudo_is_read_as_sudo_reads_it(entry: str, may: bool) -> None:
    assert (missing_rights([["systemctl", "restart", "shop.service"]], listed(entry)) == []) is may


@settings(deadline=None)
@given(st.lists(st.text(max_size=60), max_size=8))
def test_any_answer_of_sudo_gives_rules_or_none(lines: list[str]) -> None:
    missing_rights([["systemctl", "restart", "x"]], allowed([SAYS, *lines]))


def test_the_agent_times_the_files_of_a_shell_and_names_the_slow_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".bashrc").write_text("sleep 0.3\n")
    (tmp_path / ".profile").write_text("echo hello\n. ~/.bashrc\n")
    monkeypatch.setenv("HOME", str(tmp_path))

    told = {
        each["path"]: each
        for each in (examining.file_facts("/bin/bash", *file) for file in examining.start_files("/bin/bash"))
    }

    mine = told[str(tmp_path / ".bashrc")]
    assert mine["seconds"] >= 0.3
    assert told[str(tmp_path / ".profile")]["names"] == [str(tmp_path / ".bashrc")]


def test_a_shell_is_started_as_sshd_starts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".bashrc").write_text("echo from bashrc\n")
    monkeypatch.setenv("HOME", str(tmp_path))

    seconds, lines = examining.timed(["/bin/bash", "-c", ":"])

    assert 0 < seconds < examining.LONGEST
    assert lines[-1:] == ["from bashrc"]


def test_the_agents_part_runs_on_its_own(tmp_path: Path) -> None:
    code = (
        "from types import SimpleNamespace as N; import json\n"
        "from handrail.agent.app import App; from handrail.agent.examining import examine\n"
        f"print(json.dumps(examine(N(app=App({str(tmp_path)!r}, 'shop')), {{'ports': [1], 'python': '3.99'}}, b'')))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert '"python": false' in done.stdout
    assert list(tmp_path.iterdir()) == []
