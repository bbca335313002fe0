"""Another number of a server's own workers, while visitors come: gunicorn and uvicorn do it without a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from handrail.testing.host import Host, free_port
from handrail.testing.project import DeployProject
from handrail.testing.visitors import Visitors

pytestmark = [pytest.mark.integration, pytest.mark.slow]

APP = """\
import time

def wsgi(environ, start):
    time.sleep(0.01)
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""
COMMANDS = {
    "gunicorn": "gunicorn app:wsgi --bind 0.0.0.0:{port} --no-control-socket",
    "uvicorn": "uvicorn app:asgi --host 0.0.0.0 --port {port} --lifespan off",
}


def workers(project: DeployProject, host: Host) -> tuple[int, int]:
    """Return the main process and how many workers it has, as ps sees them."""
    pid = project.status()["hosts"][0]["service"]["pid"]
    listed = host.run(f"ps -o args= --ppid {pid}").stdout.splitlines()
    return pid, len([line for line in listed if "resource_tracker" not in line])


def visitors(host: Host, port: int) -> Visitors:
    """Ask again and again, each time on a new connection, from four threads."""
    return Visitors([host], port, kept=[False] * 4, pause=0.004, timeout=5.0)


def test_a_server_changes_its_workers_without_a_restart_and_without_a_failed_request(
    sshd_host: Host, tmp_path: Path, wheel_cache: Path
) -> None:
    service = {"command": COMMANDS["gunicorn"], "port": free_port(), "health": "/", "stop_timeout": 5}
    tables = {"service": service, "build": {"requirements": "requirements.txt"}}
    project = DeployProject(tmp_path / "p", "resized", [sshd_host], tables, cache=wheel_cache)
    project.write("requirements.txt", "gunicorn\nuvicorn\n")
    project.write("app.py", APP)
    for server in COMMANDS:
        project.configure(service={"command": COMMANDS[server]})
        project.commit(server)
        project.deploy()
        if server == "gunicorn":
            # From the one that it has by itself. uvicorn now starts with the number that was left.
            scale(project, "web=2", "without a restart")
        pid, count = workers(project, sshd_host)
        assert count == 2
        with visitors(sshd_host, service["port"]) as growing:
            scale(project, "web=4", "without a restart")
            assert workers(project, sshd_host) == (pid, 4)
        assert growing.failures == [], server
        with visitors(sshd_host, service["port"]) as shrinking:
            scale(project, "web=2", "without a restart")
            assert workers(project, sshd_host) == (pid, 2)
        assert min(growing.answers["ok", 200], shrinking.answers["ok", 200]) > 20
        # A worker of uvicorn that ends closes what it has accepted and not yet heard a request on.
        closed = ("reset by peer", "closed connection without response")
        resets = [e for e in shrinking.failures if server == "uvicorn" and any(words in e for words in closed)]
        assert shrinking.failures == resets, server
        assert len(resets) <= 4, "one for each visitor at most"
    scale(project, "web=1", "without a restart")
    project.deploy()
    # A single worker of uvicorn is its main process, which a signal would stop.
    scale(project, "web=3", "restarted for it: this uvicorn does not take signals")
    assert workers(project, sshd_host)[1] == 3


def scale(project: DeployProject, words: str, said: str) -> None:
    done = project.inv("scale", "--env", "test", words)
    assert done.returncode == 0, done
    assert said in done.stdout, done
