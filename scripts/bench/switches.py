"""Whether visitors notice a switch: blue-green deploys and rollbacks behind a proxy, under load.

The host is a container with systemd, and Caddy or nginx in front of the service. Visitors ask without a pause, half of
them on kept connections, half on a new one for each request. A kept connection that the server closed between two
requests is opened again, as every HTTP client does, and counted; anything else that is not a 200 is a failed
request. "During a switch" is the time in which a deploy or rollback runs.

    .venv/bin/python scripts/bench/switches.py [--switches 20] [--proxy caddy]

Exits with 1 where a request failed, or where the slowest hundredth during the switches took more than twice as long
as before them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from handrail.testing.container import ContainerHost, engine
from handrail.testing.host import free_port
from handrail.testing.project import DeployProject
from handrail.testing.visitors import Visitors

PORTS = {"caddy": 8081, "nginx": 8082}
# About a thousand requests a second in all: a service under load, not a saturated machine.
KEPT, PAUSE = (True, False, True, False), 0.003
QUIET_SECONDS = 10.0
P99_BUDGET = 2.0

SERVICE = """import http.server, os

VERSION = {version!r}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = VERSION.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)] * 1000 if values else float("nan")


def measure(kind: str, switches: int) -> bool:
    with tempfile.TemporaryDirectory() as name, ContainerHost(Path(name) / "host") as host:
        host.run_as_root(f"systemctl start {kind}")
        service = {"command": "python3 serve.py", "port": free_port(), "health": "/", "health_interval": 0.05}
        test = {"strategy": "blue-green", "proxy": {"kind": kind, "site": f":{PORTS[kind]}"}, "watch": 0.5}
        project = DeployProject(Path(name) / "project", "shop", [host], {"service": service, "test": test})

        def release(number: int) -> None:
            project.write("serve.py", SERVICE.format(version=str(number)))
            project.commit(f"version {number}")
            project.deploy()

        release(0)
        with Visitors([host], PORTS[kind], kept=KEPT, pause=PAUSE) as visitors:
            time.sleep(QUIET_SECONDS)
            quiet = time.perf_counter()
            for number in range(1, switches + 1):
                release(number)
                project.rollback()
    before = p99([took for at, took in visitors.took if at < quiet])
    during = p99([took for at, took in visitors.took if at >= quiet])
    print(
        f"{kind:<8}{switches:>9}{switches:>11}{len(visitors.took):>10,}{visitors.failed:>8}{visitors.reopened:>10}"
        f"{before:>12.1f}{during:>12.1f}",
        flush=True,
    )
    for failure in visitors.failures[:5]:
        print(f"    {failure}")
    return not visitors.failures and during <= P99_BUDGET * before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--switches", type=int, default=20)
    parser.add_argument("--proxy", choices=sorted(PORTS))
    options = parser.parse_args()
    print(
        f"{'proxy':<8}{'deploys':>9}{'rollbacks':>11}{'requests':>10}{'failed':>8}{'reopened':>10}"
        f"{'p99 before':>12}{'p99 during':>12}   (p99 in ms)"
    )
    with engine():
        good = [measure(kind, options.switches) for kind in ([options.proxy] if options.proxy else sorted(PORTS))]
    if not all(good):
        sys.exit("\nrequests failed, or were too slow during the switches")


if __name__ == "__main__":
    main()
