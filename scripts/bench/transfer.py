"""What travels: bytes and SSH channels of a first deploy, of one after a one-line change, and of one without a change.

The project is a package with more than 40 locked dependencies; the host is Debian's OpenSSH on loopback. Bytes are
counted by a TCP proxy in front of it, so they hold SSH's own; channels are counted in the server's log.

    .venv/bin/python scripts/bench/transfer.py

Exits with 1 where the change sends more than 64 KiB beside the project's own wheel, or a deploy opens more than
four channels.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from handrail.testing.host import free_port
from handrail.testing.project import DeployProject
from handrail.testing.sshd import SshdHost
from handrail.testing.wire import Wire

LIMIT = 64 * 1024
CHANNELS = 4

PACKAGE = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "shop"
version = "1.0"
requires-python = ">=3.10"
dependencies = [
    "datasette==0.65.5", "flask==3.1.2", "requests==2.32.5", "rich==14.2.0", "tqdm==4.67.1", "attrs==25.4.0",
]

[tool.hatch.build.targets.wheel]
packages = ["shop"]
"""

SERVICE = """import http.server, os

VERSION = {version!r}
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as name, SshdHost(Path(name) / "host") as host, Wire(host, Path(name)) as wire:
        service = {"command": "python -m shop", "port": free_port(), "health": "/", "health_timeout": 30}
        project = DeployProject(Path(name) / "project", "shop", [wire.host], {"service": service})
        project.write("pyproject.toml", (project.folder / "pyproject.toml").read_text() + PACKAGE)
        project.write("shop/__init__.py", "")
        for case, version in (("first", 1), ("one line changed", 2), ("nothing changed", 2)):
            project.write("shop/__main__.py", SERVICE.format(version=version))
            if version == 1:
                subprocess.run([sys.executable, "-m", "uv", "lock", "--quiet"], cwd=project.folder, check=True)
            project.commit(case)
            before = wire.sent
            with host.counting_channels() as channels:
                document = project.deploy()
                rows.append((case, wire.sent - before, channels(), document["seconds"]))
        packages = (project.folder / "uv.lock").read_text().count("[[package]]") - 1
        wheel = max(path.stat().st_size for path in project.folder.rglob("shop-1.0-*.whl"))
    print(f"{packages} locked dependencies; the project's own wheel has {wheel} bytes\n")
    print(f"{'deploy':<20}{'bytes sent':>14}{'channels':>10}{'seconds':>10}")
    for case, sent, opened, seconds in rows:
        print(f"{case:<20}{sent:>14,}{opened:>10}{seconds:>10.2f}")
    if rows[1][1] - wheel > LIMIT or max(row[2] for row in rows) > CHANNELS:
        sys.exit(f"\nover the limit of {LIMIT} bytes beside the wheel, or of {CHANNELS} channels")


if __name__ == "__main__":
    main()
