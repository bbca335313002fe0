"""Whether visitors notice a switch: blue-green deploys and rollbacks behind a proxy, under load.

The host is a container with systemd, and Caddy or nginx in front of the service. Visitors ask without a pause, half of
them on kept connections, half on a new one for each request. A kept connection that the server closed between two
requests is opened again, as every HTTP client does, and counted; anything else that is not a 200 is a failed
request. "Switch" is the time from the change at the proxy to the commit; "run" is all of the time in which deploys and
rollbacks run, with the client and the start of processes, which share the processors with the visitors here.

    .venv/bin/python scripts/bench/switches.py [--switches 20] [--proxy caddy]

Exits with 1 where a request failed, or where the 99th percentile of the switches is more than twice the one
before them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from handrail.testing.container import ContainerHost, engine
from handrail.testing.host import free_port
from handrail.testing.project import DeployProject
from handrail.testing.visitors import Visitors

PORTS = {"caddy": 8081, "nginx": 8082}
# Some three hundred requests a second in all: a service under load, not a saturated machine.
KEPT, PAUSE = (True, False, True, False), 0.012
QUIET_SECONDS = 10.0
P99_BUDGET = 2.0

SERVICE = """import http.server, os

VERSION = {version!r}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else the kernel's 40 ms between head and body would hide what a switch costs.
    disable_nagle_algorithm = True

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


def window(host: ContainerHost, facts: dict[str, Any]) -> tuple[float, float]:
    """Return when the switch of the last command on a host began and ended, as `time.perf_counter`."""
    last = json.loads(host.run("tail -n 1 apps/shop/history.jsonl").stdout)
    began = last["started"] - time.time() + time.perf_counter()
    starts = facts["hosts"][0]["starts"]
    return began + starts["switch"], began + starts["drain"]


def measure(kind: str, switches: int) -> bool:
    with tempfile.TemporaryDirectory() as name, ContainerHost(Path(name) / "host") as host:
        host.run_as_root(f"systemctl start {kind}")
        service = {"command": "python3 serve.py", "port": free_port(), "health": "/"}
        test = {"strategy": "blue-green", "proxy": {"kind": kind, "site": f":{PORTS[kind]}"}, "watch": 0.5, "drain": 3}
        project = DeployProject(Path(name) / "project", "shop", [host], {"service": service, "test": test})

        windows = []

        def write(version: int) -> None:
            project.write("serve.py", SERVICE.format(version=str(version)))
            project.commit(f"version {version}")

        write(0)
        project.deploy()
        with Visitors([host], PORTS[kind], kept=KEPT, pause=PAUSE) as visitors:
            time.sleep(QUIET_SECONDS)
            quiet = time.perf_counter()
            for number in range(1, switches + 1):
                write(number)
                windows.append(window(host, project.deploy()))
                windows.append(window(host, project.rollback()))
    before = p99([took for at, took in visitors.took if at < quiet])
    whole = p99([took for at, took in visitors.took if at >= quiet])
    during = p99([took for at, took in visitors.took if any(since <= at <= until for since, until in windows)])
    print(
        f"{kind:<8}{switches:>9}{switches:>11}{len(visitors.took):>10,}{visitors.failed:>8}{visitors.reopened:>10}"
        f"{before:>12.1f}{during:>12.1f}{whole:>9.1f}",
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
        f"{'p99 before':>12}{'p99 switch':>12}{'p99 run':>9}   (p99 in ms)"
    )
    with engine():
        good = [measure(kind, options.switches) for kind in ([options.proxy] if options.proxy else sorted(PORTS))]
    if not all(good):
        sys.exit("\nrequests failed, or were too slow during the switches")


if __name__ == "__main__":
    main()
