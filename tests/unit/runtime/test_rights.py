"""The rules that a host allows hold everything that the agent runs there as root, and nothing beside it."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path
from typing import Any

import pytest

from handrail.agent.files import read_text
from handrail.agent.instances import Instances
from handrail.agent.jobs import drain
from handrail.agent.protocol import MOST_LINES
from handrail.agent.proxy import Proxy
from handrail.agent.service import Service
from handrail.runtime import Job, proxy, proxy_spec, service_spec, systemd
from handrail.runtime.rights import render_sudoers, root_commands

pytestmark = [pytest.mark.unit, pytest.mark.security]

ROOT = Path(__file__).resolve().parents[3]
SUPERVISOR = {
    "ctl": "/usr/bin/supervisorctl",
    "conf": "/etc/supervisor/supervisord.conf",
    "include": "/etc/supervisor/x",
}
PORTS = {"web": 8000, "blue": 8000, "green": 8001}
# Writes down what it was asked for; does to files what root would, and nothing else.
SUDO = """\
#!/bin/sh
echo "$*" >> "$SUDO_LOG"
shift
case "$1" in install|mv|rm) exec "$@" ;; esac
"""


def service(manager: str = "systemd", kind: str = "", *, is_root: bool = False) -> dict[str, Any]:
    def instance(slot: str) -> dict[str, Any]:
        spec = service_spec(
            manager,
            app="shop",
            app_dir="/home/deploy/apps/shop",
            user="deploy",
            is_root=is_root,
            facts={"supervisor": SUPERVISOR},
            stop_timeout=15,
            slot=slot,
        )
        return {**spec, "port": PORTS[slot or "web"]}

    spec = instance("")
    spec["slots"] = {slot: instance(slot) for slot in ("blue", "green")}
    spec["strategy"] = "blue-green" if kind else "restart"
    spec["proxy"] = proxy_spec(kind, app="shop", site=":8080", ports=PORTS, is_root=is_root) if kind else None
    return spec


def job(manager: str) -> dict[str, Any]:
    spec = service_spec(
        manager, app="shop", process="nightly", app_dir="/home/deploy/apps/shop", user="deploy", is_root=False,
        facts={"supervisor": SUPERVISOR}, stop_timeout=0, job=Job("@daily"),
    )  # fmt: skip
    return {**spec, "stop_timeout": 0}


def rules(text: str) -> list[str]:
    """Return the command patterns of a sudoers file, as sudo reads them."""
    _, _, listed = text.replace("\\\n", "").partition("NOPASSWD: ")
    return [re.sub(r"\\(.)", r"\1", " ".join(rule.split())) for rule in re.split(r"(?<!\\),", listed)]


def allows(text: str, argv: list[str]) -> bool:
    return any(
        argv[0] in (rule.partition(" ")[0], rule.partition(" ")[0].rpartition("/")[2])
        and fnmatch.fnmatchcase(" ".join(argv[1:]), rule.partition(" ")[2])
        for rule in rules(text)
    )


class _App:
    """As much of the agent's app as its instances need here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = "shop"

    def path(self, *parts: str) -> str:
        return str(self.folder.joinpath(*parts))

    def current_release(self) -> str:
        return "1-aaaaaaa"

    def slot_release(self, _slot: str) -> str:
        return ""

    def release(self, *parts: str) -> str:
        return self.path("releases", *parts)


@pytest.mark.parametrize("manager", ["systemd", "supervisor"])
@pytest.mark.parametrize("kind", ["", "caddy", "nginx"])
def test_everything_that_the_agent_runs_as_root_is_allowed(
    manager: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "UNIT_FOLDER", str(tmp_path / "units"))
    monkeypatch.setattr(proxy, "CADDY_FOLDER", str(tmp_path / "caddy"))
    monkeypatch.setattr(proxy, "NGINX_FOLDER", str(tmp_path / "nginx"))
    spec = service(manager, kind)
    nightly = job(manager)
    spec["processes"] = {nightly["name"]: nightly}
    for one in (spec, *spec["slots"].values(), nightly):
        for item in one["files"]:
            item["path"] = str(tmp_path / "units" / Path(item["path"]).name)
    if spec["proxy"]:
        # What needs no rights is not asked here.
        spec["proxy"].update(admin=False, included_by="", include_line="")
        spec["proxy"]["reload"] = [argv for argv in spec["proxy"]["reload"] if argv[0] == "sudo"]
        spec["proxy"]["check"] = [argv for argv in spec["proxy"]["check"] if argv[0] == "sudo"]
        monkeypatch.setattr(Proxy, "ask", lambda self, _text="": read_text(self.spec["path"]))
    programs, log = tmp_path / "bin", tmp_path / "log"
    programs.mkdir()
    (programs / "sudo").write_text(SUDO)
    (programs / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SUDO_LOG", str(log))

    instances = Instances(_App(tmp_path), spec)
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: 1000)
        live_through(instances, ["web", "blue", "green"] if kind else ["web"])
        waiting = Service(instances.app, nightly)
        waiting.restart()
        waiting.begin()
        drain(instances.app, nightly)
        waiting.stop()
        waiting.logs(20)
        waiting.retire()

        if instances.proxy:
            instances.proxy.take_back("")
            assert not Path(instances.proxy.spec["path"]).exists()

    text = render_sudoers("deploy", "shop", root_commands(spec))
    asked = [line.split() for line in log.read_text().splitlines()]
    assert len(asked) > 5
    assert all(argv[0] == "-n" for argv in asked)
    assert [argv for argv in asked if not allows(text, argv[1:])] == []


@pytest.mark.parametrize("kind", ["caddy", "nginx"])
def test_a_canarys_flags_and_logs_are_allowed(kind: str) -> None:
    spec = service(kind=kind)
    spec["proxy"] = proxy_spec(kind, app="shop", site=":80", ports=PORTS, is_root=False, shares=[5, 25])
    text = render_sudoers("deploy", "shop", root_commands(spec))
    canary = spec["proxy"]["canary"]
    wanted = [argv[2:] for name in ("make_log", "open_log", "remove_log") for argv in canary[name]]
    if kind == "caddy":
        five, more = (canary["flag"].format(share=share, port=8001) for share in (5, 25))
        wanted += [["mv", "-f", five, more], ["rm", "-f", more]]
        wanted.append(["install", "-D", "-m", "644", "/dev/stdin", f"{five}.handrail-new"])
    assert [argv for argv in wanted if not allows(text, argv)] == []
    assert not allows(text, ["chmod", "4755", canary["log"]])


def live_through(instances: Instances, names: list[str]) -> None:
    for name in names:
        one = instances.service(name)
        one.restart()
        for argv in [*one.spec["check"], *one.spec["start"]]:
            one._must(argv, "check")
        one.pid()
        one.logs(200)
        one.logs(7)
        one.logs(MOST_LINES)
        one.stop()
        if instances.proxy:
            instances.proxy.point(name)
            assert instances.proxy.problems() == []
            for page in ("a page", "another page", ""):
                instances.proxy.show_page(page)
                assert instances.proxy.page() == page
                assert (instances.proxy.maintenance_since() is None) == (page == "")
        one.retire()


@pytest.mark.parametrize(
    "command",
    [
        "systemctl restart ssh.service",
        "systemctl restart shop-web.service ssh.service",
        "journalctl --unit=shop-web.service --output=short-iso --no-pager --lines=5 --vacuum-time=1s",
        "journalctl --unit=shop-web.service --output=short-iso --no-pager --lines=",
        "journalctl",
        "mv -f /tmp/x /etc/systemd/system/shop-web.service",
        "install -D -m 4755 /dev/stdin /usr/bin/x",
        "sh",
    ],
)
def test_nothing_else_is_allowed(command: str) -> None:
    text = render_sudoers("deploy", "shop", root_commands(service("systemd", "caddy")))
    assert allows(text, ["journalctl", "--unit=shop-web.service", "--output=short-iso", "--no-pager", "--lines=12345"])
    assert not allows(text, command.split())


def test_a_host_without_a_proxy_has_no_rules_for_slots() -> None:
    assert not any("blue" in word for argv in root_commands(service()) for word in argv)


def test_root_needs_no_rules() -> None:
    assert root_commands(service(kind="caddy", is_root=True)) == []


def test_a_user_in_capitals_is_no_alias() -> None:
    assert '\n"DEPLOY" ALL=(root)' in render_sudoers("DEPLOY", "shop", [["rm", "-f", "/x"]])


def test_the_page_shows_the_rules_that_are_written() -> None:
    page = (ROOT / "docs" / "how-a-deploy-works.md").read_text("utf-8")
    text = render_sudoers("deploy", "shop", root_commands(service()))
    assert f"```\n{text}```" in page


def worker(manager: str, number: int, name: str = "worker") -> dict[str, Any]:
    return service_spec(
        manager, app="shop", process=name, app_dir="/home/deploy/apps/shop", user="deploy", is_root=False,
        facts={"supervisor": SUPERVISOR}, stop_timeout=15, instance=number,
    )  # fmt: skip


@pytest.mark.parametrize("manager", ["systemd", "supervisor"])
@pytest.mark.parametrize("name", ["worker", "worker-1"])
def test_every_number_of_a_background_process_is_allowed_and_no_other(manager: str, name: str) -> None:
    spec = service(manager)
    first = worker(manager, 1, name)
    spec["processes"] = {first["name"]: first}
    text = render_sudoers("deploy", "shop", root_commands(spec))
    for number in (1, 9, 42):
        one = worker(manager, number, name)
        sequences = [argv for key in ("reload", "start", "stop", "restart", "retire") for argv in one[key]]
        assert [argv for argv in sequences if not allows(text, argv[2:])] == []
        for item in one["files"]:
            assert allows(text, ["rm", "-f", item["path"]])
            assert allows(text, ["mv", "-f", f"{item['path']}.handrail-new", item["path"]])
    restart = first["restart"][-1][2:]
    for other in ("123", "x", "1 other"):
        changed = first["name"][:-1] + other
        assert not allows(text, [*restart[:-1], *restart[-1].replace(first["name"], changed).split()])


def test_a_job_has_no_number() -> None:
    spec = service("supervisor")
    one = service_spec(
        "supervisor", app="shop", process="nightly-1", app_dir="/home/deploy/apps/shop", user="deploy", is_root=False,
        facts={"supervisor": SUPERVISOR}, stop_timeout=0, job=Job("@daily"),
    )  # fmt: skip
    spec["processes"] = {one["name"]: one}
    text = render_sudoers("deploy", "shop", root_commands(spec))
    stop = one["stop"][0][2:]
    assert allows(text, stop)
    assert not allows(text, [*stop[:-1], "shop-nightly-2"])


def test_slots_that_a_host_has_from_before_may_be_ended_without_a_proxy() -> None:
    spec = service()
    spec["keeps_slots"] = True
    text = render_sudoers("deploy", "shop", root_commands(spec))
    assert [argv for argv in spec["slots"]["blue"]["retire"] if not allows(text, argv[2:])] == []
