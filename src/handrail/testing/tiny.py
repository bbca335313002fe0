"""A service of one file that needs nothing, and the project that deploys it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handrail.testing.host import Host, free_port
from handrail.testing.project import DeployProject

# VERSION is what tests change. A host whose file ~/sick names a version finds that version unhealthy.
SERVICE = """\
import http.server
import json
import os
import pathlib

VERSION = "one"
FACTS = {
    "version": VERSION,
    "release": os.environ["HANDRAIL_RELEASE"],
    "variables": {name: value for name, value in os.environ.items() if name.startswith("TEST_")},
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        sick = pathlib.Path.home() / "sick"
        is_sick = sick.exists() and VERSION in sick.read_text().split()
        self.send_response(503 if self.path == "/healthz" and is_sick else 200)
        self.end_headers()
        self.wfile.write(json.dumps(FACTS).encode())


print("serving", VERSION, flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


class TinyProject(DeployProject):
    """A service of one file without dependencies; `release` commits a version of it."""

    def __init__(self, folder: Path, app: str, hosts: Sequence[Host], cache: Path, **tables: dict[str, Any]) -> None:
        self.port = free_port()
        service = {
            "command": "python3 serve.py",
            "port": self.port,
            "health": "/healthz",
            "health_timeout": 4,
            "health_interval": 0.05,
            "stop_timeout": 3,
            **tables.pop("service", {}),
        }
        super().__init__(folder, app, hosts, {"service": service, **tables}, cache=cache)

    def release(self, version: str) -> str:
        """Commit the service as this version; return the commit."""
        self.write("serve.py", SERVICE.replace('"one"', repr(version)))
        return self.commit(f"version {version}")

    def served(self) -> list[str]:
        """Return the version that each host serves; ``""`` where none answers."""
        answers = [host.get(self.port) for host in self.hosts]
        # One that is stopped while it answers has said its status and no more.
        return [answer.json()["version"] if answer.status and answer.text else "" for answer in answers]
