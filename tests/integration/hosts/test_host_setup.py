"""``inv host.setup`` on machines as a provider hands them over: from an admin's login to a user who deploys."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from handrail.testing.bare import BareHost
from handrail.testing.host import free_port, make_key, wait_until
from handrail.testing.project import DeployProject, Finished
from handrail.testing.visitors import Visitors

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SERVICE = """\
import http.server, os
VERSION = "one"
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(VERSION.encode())
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
WORKER: dict[str, Any] = {"command": "python3 work.py", "stop_timeout": 1}
# Everything that a set-up may touch, with its times; and what systemd has been told.
SNAPSHOT = """\
find /etc /home /srv /root /usr/local -xdev -not -name 'ld.so.cache' -printf '%p %m %u %y %s %T@ %C@\\n' | sort
dpkg-query -W -f '${Package} ${Version} ${Status}\\n'
journalctl --no-pager --output=cat _PID=1 | grep -c -i reload || true
"""


class SetupProject(DeployProject):
    """A service of one file; user ``shopper`` deploys it, ``admin`` sets up."""

    def __init__(self, folder: Path, hosts: list[BareHost], **tables: dict[str, Any]) -> None:
        service = {"command": "python3 serve.py", "port": free_port(), "health": "/", "health_timeout": 5}
        names = [f"shopper@{host.name}" for host in hosts]
        test = {"hosts": names, "watch": 0.2, "drain": 1, **tables.pop("test", {})}
        # Debian 12's own, whatever runs the tests.
        super().__init__(
            folder, "shop", hosts, {"service": service, "test": test, "build": {"python": "3.11"}, **tables}
        )
        self.write("work.py", "import time\nwhile True:\n    time.sleep(1)\n")
        self.release("one")

    def rename(self, process: str, name: str) -> None:
        """Declare a background process under another name."""
        self.configure(**{f"processes.{name}": self.tables.pop(f"processes.{process}")})

    def processes(self) -> list[list[str]]:
        """Return what runs beside the service, by host."""
        return [[one["process"] for one in row["processes"] if one["ok"]] for row in self.status()["hosts"]]

    def release(self, version: str) -> None:
        self.write("serve.py", SERVICE.replace('"one"', repr(version)))
        self.commit(version)

    def set_up(self, *words: str, expect: int = 0, login: str = "admin") -> Finished:
        who = ["--login", login] if login else []
        done = self.inv("host.setup", "--env", "test", *who, *words)
        assert done.returncode == expect, str(done)
        return done

    def served(self, port: int) -> list[str]:
        return [host.get(port).text for host in self.hosts]


def snapshot(host: BareHost) -> set[str]:
    return set(host.run_as_root(SNAPSHOT).splitlines())


def changes(hosts: list[BareHost], before: list[set[str]]) -> list[set[str]]:
    """Return what each host has now and had not, or the other way round."""
    return [snapshot(host) ^ old for host, old in zip(hosts, before, strict=True)]


def steps(done: Finished, index: int = 0) -> dict[str, str]:
    return {step["step"]: step["state"] for step in done.document["hosts"][index]["steps"]}


def as_shopper(host: BareHost, command: str) -> str:
    """Run a shell command as the created user; return its exit code and what it said."""
    return host.run_as_root(f"runuser -u shopper -- sh -c '{command}' 2>&1; echo exit $?")


def test_two_bare_machines_become_hosts_that_take_deploys_of_both_strategies(
    bare_host: BareHost, second_bare_host: BareHost, tmp_path: Path
) -> None:
    hosts = [bare_host, second_bare_host]
    proxy = {"kind": "caddy", "site": ":80"}
    project = SetupProject(
        tmp_path / "shop", hosts, test={"strategy": "restart", "proxy": proxy}, **{"processes.worker": WORKER}
    )
    before = [snapshot(host) for host in hosts]

    plan = project.set_up("--plan", "--json")
    assert [row["state"] for row in plan.document["hosts"]] == ["planned", "planned"]
    assert {"python3", "packages", "user", "keys", "sudo", "folders", "proxy"} <= set(steps(plan))
    assert changes(hosts, before) == [set(), set()], "a plan changes nothing"

    # No admin's login was named, and the user of the environment does not exist yet.
    refused = project.set_up(login="", expect=3)
    assert "--login" in refused.stderr

    done = project.set_up("--json")
    assert [row["state"] for row in done.document["hosts"]] == ["done", "done"]
    assert done.document["next"] == "inv deploy --env test"
    assert bare_host.run_as_root("getent shadow shopper").split(":")[1] == "!", "there is no password to guess"

    after = [snapshot(host) for host in hosts]
    again = project.set_up("--json")
    assert [row["state"] for row in again.document["hosts"]] == ["ready", "ready"]
    assert set(steps(again).values()) == {"ok"}
    assert again.document["changed"] is False
    assert changes(hosts, after) == [set(), set()], "a second run changes nothing"
    assert "nothing to do" in project.set_up().stdout

    project.deploy()
    assert project.served(80) == ["one", "one"]
    project.configure(test={"strategy": "blue-green"})
    for version in ("two", "three"):
        project.release(version)
        project.deploy()
        assert project.served(80) == [version, version]
    project.rollback()
    assert project.served(80) == ["two", "two"]
    assert "shop-web" in project.inv("logs", "--env", "test", "--lines", "5").stdout
    project.configure(test={"strategy": "restart"})
    project.release("four")
    project.deploy()
    assert project.served(80) == ["four", "four"]
    assert project.status()["state"] == "ok"
    well = project.inv("doctor", "--env", "test", "--json")
    assert (well.returncode, well.document["findings"]) == (0, []), well
    assert "command not allowed" not in bare_host.run_as_root("journalctl --no-pager --output=cat _COMM=sudo")

    for command in ("true", "systemctl restart ssh.service", "journalctl --unit=shop-web.service --rotate", "sh"):
        assert "exit 1\n" in as_shopper(bare_host, f"sudo -n {command}"), command
    assert project.set_up("--json").document["changed"] is False, "a deploy leaves nothing to do"

    project.rename("worker", "queue")
    project.release("five")
    project.set_up()
    bare_host.run_as_root("sed -i.old /shop-worker/d /etc/sudoers.d/handrail-shop")
    refused = project.deploy(expect=3)
    assert "shop-worker@1 is to end, and this user may not run" in refused["error"]["message"]
    assert project.processes() == [["worker"], ["worker"]]
    bare_host.run_as_root("mv /etc/sudoers.d/handrail-shop.old /etc/sudoers.d/handrail-shop")
    project.deploy()
    assert project.processes() == [["queue"], ["queue"]]
    for host in hosts:
        left = host.run_as_root("systemctl is-active shop-worker@1.service; ls -R /etc/systemd/system")
        assert (left.split()[0], "shop-worker" in left) == ("inactive", False)


def test_nginx_supervisor_and_an_account_that_is_there_already(bare_host: BareHost, tmp_path: Path) -> None:
    old = make_key(tmp_path / "old")
    bare_host.run_as_root(
        "useradd --create-home --shell /bin/sh shopper && echo shopper:secret | chpasswd -e"
        " && install -d -m 755 -o shopper /home/shopper/.ssh && cat > /home/shopper/.ssh/authorized_keys",
        stdin=f"# mine\n{old}",
    )
    bare_host.run_as_root("chmod 644 /home/shopper/.ssh/authorized_keys")
    project = SetupProject(
        tmp_path / "shop",
        [bare_host],
        test={"proxy": {"kind": "nginx", "site": ":80"}, "manager": "supervisor", "root": "/srv/apps"},
        **{"processes.worker": WORKER},
    )
    new = make_key(tmp_path / "new")
    project.set_up("--authorized-key", str(tmp_path / "new.pub"), "--authorized-key", f"{bare_host.identity}.pub")

    assert bare_host.run_as_root("getent shadow shopper").split(":")[1] == "secret", "its password stays"
    assert bare_host.run_as_root("getent passwd shopper").strip().endswith(":/bin/sh"), "its shell stays"
    keys = bare_host.run_as_root("cat /home/shopper/.ssh/authorized_keys").splitlines()
    assert keys[:2] == ["# mine", old], "what was there stays"
    assert new in keys
    assert len(keys) == 4
    modes = bare_host.run_as_root(
        "stat -c '%a %U' /home/shopper/.ssh /home/shopper/.ssh/authorized_keys /srv/apps/shop"
    )
    assert modes.splitlines() == ["700 shopper", "600 shopper", "755 shopper"]

    after = snapshot(bare_host)
    assert project.set_up("--json").document["changed"] is False
    assert changes([bare_host], [after]) == [set()]
    for version in ("one", "two"):
        project.release(version)
        project.deploy()
        assert project.served(80) == [version]
    project.rollback()
    assert project.served(80) == ["one"]
    scaled = project.inv("scale", "--env", "test", "worker=3")
    assert scaled.returncode == 0, scaled
    assert project.processes() == [["worker"] * 3]

    project.rename("worker", "queue")
    project.configure(test={"strategy": "blue-green", "watch": 0.2})
    project.set_up()
    with Visitors([bare_host], 80, pause=0.004) as visitors:
        for version in ("three", "four"):
            project.release(version)
            project.deploy()
            assert project.served(80) == [version]
        project.rollback()
        assert project.served(80) == ["three"]
    assert visitors.failures == []
    assert project.processes() == [["queue"]]
    running = bare_host.run_as_root("runuser -u shopper -- supervisorctl status || true")
    assert len([line for line in running.splitlines() if line.startswith("shop-web")]) <= 2, running


def test_a_set_up_that_was_cut_off_is_finished_by_the_next_one(bare_host: BareHost, tmp_path: Path) -> None:
    project = SetupProject(
        tmp_path / "shop", [bare_host], test={"proxy": {"kind": "caddy", "site": "shop.example.org"}}
    )
    bare_host.run_as_root("apt-get update && apt-get install --yes --no-install-recommends python3")
    process = project.start("host.setup", "--env", "test", "--login", "admin")
    installing = "pgrep -x dpkg || pgrep -x apt-get || true"
    wait_until(lambda: bare_host.run_as_root(installing) or process.poll() is not None, "apt to be at work", 60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # Worse still: the machine lost its power while a package was unpacked.
    wait_until(lambda: not bare_host.run_as_root(installing), "apt to finish", 60)
    bare_host.run_as_root("dpkg --unpack /srv/packages/caddy_*.deb && dpkg --audit | grep -q caddy")

    done = project.set_up("--json")
    assert steps(done)["repair"] == "done"
    assert project.set_up("--json").document["changed"] is False
    assert bare_host.run_as_root("systemctl is-active caddy").strip() == "active"
    # A site with a name leaves Caddy's own page where it is.
    caddyfile = bare_host.run_as_root("cat /etc/caddy/Caddyfile")
    assert "file_server" in caddyfile
    assert caddyfile.endswith("\nimport /etc/caddy/handrail/*.caddy\n")


def test_what_cannot_be_done_is_said_in_one_line_and_changes_nothing(bare_host: BareHost, tmp_path: Path) -> None:
    project = SetupProject(tmp_path / "shop", [bare_host], test={"proxy": {"kind": "caddy", "site": ":80"}})

    def message(done: Finished) -> str:
        return done.stderr.splitlines()[0]

    bare_host.run_as_root("cp /etc/os-release /root/os-release; echo 'ID=fedora\nPRETTY_NAME=Fedora' > /etc/os-release")
    assert "this is Fedora; a set-up knows Debian and Ubuntu alone" in message(project.set_up(expect=3))
    bare_host.run_as_root("cp /root/os-release /etc/os-release")

    bare_host.run_as_root("mv /etc/sudoers.d/admin /root/admin")
    assert "user admin may not become root without a password" in message(project.set_up(expect=3))
    bare_host.run_as_root("mv /root/admin /etc/sudoers.d/admin")

    bare_host.run_as_root("mv /srv/packages /srv/away")
    assert "apt could not install python3: " in message(project.set_up(expect=4))
    bare_host.run_as_root(
        "mv /srv/away /srv/packages; apt-get update; apt-get install --yes --no-install-recommends python3;"
        "mv /srv/packages/caddy_*.deb /root"
    )
    offline = message(project.set_up(expect=4))
    assert "apt could not install caddy, python3.11-venv: " in offline
    assert "/srv/packages/./caddy_" in offline
    bare_host.run_as_root("mv /root/caddy_*.deb /srv/packages; mv /srv/packages /srv/away")
    before = snapshot(bare_host)
    unknown = message(project.set_up(expect=3))
    assert "knows no package caddy, python3.11-venv: apt's package lists could not be fetched" in unknown
    assert changes([bare_host], [before]) == [set()]

    project.configure(build={"python": "3.9"})
    bare_host.run_as_root("mv /srv/away /srv/packages; apt-get update")
    missing = project.set_up(expect=3)
    assert "Python 3.9 is not there, and Debian GNU/Linux 12 (bookworm) has no package of it" in message(missing)
    assert 'declare python = "3.11"' in missing.stderr
    project.configure(build={"python": "3.11"})

    private = project.set_up("--authorized-key", str(bare_host.identity), expect=2)
    assert "is a private key, which never leaves this machine" in message(private)
    assert "shopper" not in bare_host.run_as_root("cat /etc/passwd")
