"""The sequences against a real supervisord: what the agent relies on after each of them."""

from __future__ import annotations

import getpass
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handrail.runtime import render_launcher, service_spec

pytestmark = pytest.mark.integration

STAYS = "import time; print('ready', flush=True); time.sleep(600)"
DIES = "raise SystemExit('cannot start')"
IGNORES_TERM = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


class Host:
    """A supervisord of our own and the steps that the agent makes with a service description."""

    def __init__(self, folder: Path, socket_folder: Path) -> None:
        self.app_dir = folder / "my apps" / "shop"
        include = folder / "include d"
        include.mkdir()
        (self.app_dir / "shared" / "log").mkdir(parents=True)
        self.conf = folder / "supervisord.conf"
        socket = socket_folder / "s.sock"
        # The socket has a folder of its own because the system allows about 100 characters for its path.
        self.conf.write_text(
            f"[unix_http_server]\nfile={socket}\n"
            f"[supervisord]\nlogfile={folder}/supervisord.log\npidfile={folder}/supervisord.pid\n"
            f"childlogdir={folder}\nnodaemon=true\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[supervisorctl]\nserverurl=unix://{socket}\n"
            # Without quotes a folder with a space would be two patterns.
            "[include]\nfiles = include?d/*.conf\n"
        )
        ctl = folder / "supervisorctl"
        ctl.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m supervisor.supervisorctl "$@"\n')
        ctl.chmod(0o755)
        self.facts = {"supervisor": {"ctl": str(ctl), "conf": str(self.conf), "include": str(include)}}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(self.conf)],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        self.spec = self.describe()

    def describe(self, **changes: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "app": "shop",
            "app_dir": str(self.app_dir),
            "user": getpass.getuser(),
            "is_root": os.geteuid() == 0,
            "facts": self.facts,
            "stop_timeout": 1.0,
        }
        return service_spec("supervisor", **{**arguments, **changes})

    def run(self, argv: list[str]) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONWARNINGS": "ignore"}
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=env)

    def run_all(self, commands: list[list[str]]) -> None:
        for argv in commands:
            done = self.run(argv)
            assert done.returncode == 0, (argv, done.stdout, done.stderr)

    def release(self, name: str, code: str) -> None:
        folder = self.app_dir / "releases" / name / ".handrail"
        folder.mkdir(parents=True)
        launcher = folder / "run-web"
        command = f"'{sys.executable}' -c \"{code}\""
        launcher.write_text(render_launcher(command, app="shop", process="web", port=8000, release=name))
        launcher.chmod(0o755)

    def switch(self, name: str) -> None:
        link = self.app_dir / "link"
        link.symlink_to(f"releases/{name}")
        link.rename(self.app_dir / "current")

    def install(self, spec: dict[str, Any] | None = None) -> None:
        self.spec = spec or self.spec
        for item in self.spec["files"]:
            Path(item["path"]).write_text(item["content"])
        self.run_all(self.spec["reload"])

    def pid(self) -> int:
        text = self.run(self.spec["pid"]).stdout.strip()
        return int(text) if re.fullmatch(r"\d+", text) else 0

    def log(self) -> str:
        path = self.app_dir / "shared" / "log" / "web.log"
        return path.read_text() if path.exists() else ""


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)
    return value


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        running = Host(tmp_path, Path(short))
        try:
            check = running.spec["check"][0]
            until(lambda: running.process.poll() is not None or running.run(check).returncode == 0)
            assert running.process.poll() is None, (tmp_path / "supervisord.log").read_text()
            yield running
        finally:
            running.process.send_signal(signal.SIGTERM)
            running.process.wait(timeout=20)


def test_the_first_install_ends_with_the_release_running_under_the_reported_pid(host: Host) -> None:
    host.release("1-a", STAYS)
    host.switch("1-a")

    host.install()
    host.run_all(host.spec["restart"])

    until(lambda: "ready" in host.log())
    command = host.run(["ps", "-ww", "-o", "args=", "-p", str(host.pid())]).stdout
    assert "time.sleep(600)" in command


def test_an_install_before_the_first_release_is_healed_by_the_restart(host: Host) -> None:
    host.install()
    host.release("1-a", STAYS)
    host.switch("1-a")

    host.run_all(host.spec["restart"])

    assert host.pid()


def test_a_restart_leaves_a_new_process_running(host: Host) -> None:
    host.release("1-a", STAYS)
    host.switch("1-a")
    host.install()
    host.run_all(host.spec["restart"])
    before = host.pid()

    host.run_all(host.spec["restart"])

    assert host.pid() not in (0, before)


def test_a_changed_program_file_is_read_and_ends_with_a_new_process(host: Host) -> None:
    host.release("1-a", STAYS)
    host.switch("1-a")
    host.install()
    host.run_all(host.spec["restart"])
    before = host.pid()

    host.install(host.describe(stop_timeout=3.0))
    host.run_all(host.spec["restart"])

    assert host.pid() not in (0, before)


def test_an_unchanged_program_is_left_alone_by_the_reload(host: Host) -> None:
    host.release("1-a", STAYS)
    host.switch("1-a")
    host.install()
    host.run_all(host.spec["restart"])
    before = host.pid()

    host.run_all(host.spec["reload"])

    assert host.pid() == before


def test_the_old_release_comes_back_after_one_that_dies_at_start(host: Host) -> None:
    host.release("1-a", STAYS)
    host.release("2-b", DIES)
    host.switch("1-a")
    host.install()
    host.run_all(host.spec["restart"])

    host.switch("2-b")
    failed = host.run(host.spec["restart"][0])
    assert failed.returncode != 0
    assert "cannot start" in host.log()
    host.switch("1-a")
    host.run_all(host.spec["restart"])

    assert host.pid()


def test_a_release_that_was_given_up_on_can_be_replaced(host: Host) -> None:
    host.release("1-a", DIES)
    host.release("2-b", STAYS)
    host.switch("1-a")
    host.install()
    status = [*host.spec["pid"][:-2], "status", "shop-web"]
    until(lambda: "FATAL" in host.run(status).stdout, seconds=40)

    host.switch("2-b")
    host.run_all(host.spec["restart"])

    assert host.pid()


def test_a_process_that_ignores_the_polite_stop_is_killed(host: Host) -> None:
    host.release("1-a", IGNORES_TERM)
    host.switch("1-a")
    host.install()
    until(lambda: "deaf" in host.log())
    before = host.pid()

    host.run_all(host.spec["stop"])

    assert host.pid() == 0
    assert host.run(["ps", "-p", str(before)]).returncode != 0


def test_a_crashed_process_is_started_again_by_supervisor(host: Host) -> None:
    host.release("1-a", STAYS)
    host.switch("1-a")
    host.install()
    host.run_all(host.spec["restart"])
    before = host.pid()

    os.kill(before, signal.SIGKILL)

    assert until(lambda: host.pid() if host.pid() != before else 0)


def test_the_pid_of_an_unknown_or_stopped_program_reads_as_zero(host: Host) -> None:
    assert host.pid() == 0
    host.release("1-a", STAYS)
    host.switch("1-a")
    host.install()
    host.run_all(host.spec["stop"])

    assert host.pid() == 0


def test_the_logs_show_what_the_process_wrote(host: Host) -> None:
    host.release("1-a", STAYS)
    host.switch("1-a")
    host.install()
    until(lambda: "ready" in host.log())

    shown = host.run([word.replace("{lines}", "5") for word in host.spec["logs"]])

    assert shown.returncode == 0
    assert "ready" in shown.stdout


def test_the_check_fails_where_supervisord_does_not_run(host: Host, tmp_path: Path) -> None:
    other = tmp_path / "other.conf"
    other.write_text(host.conf.read_text().replace("s.sock", "nobody.sock"))
    facts = {"supervisor": {**host.facts["supervisor"], "conf": str(other)}}

    assert host.run(host.describe(facts=facts)["check"][0]).returncode != 0
