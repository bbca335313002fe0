"""Whether visitors notice a switch: blue-green deploys and rollbacks behind a proxy, under load.

The host is a container with systemd, and Caddy or nginx in front of the service. Visitors ask without a pause, half of
them on kept connections, half on a new one for each request. A kept connection that the server closed between two
requests is opened again, as every HTTP client does, and counted; anything else that is not a 200 is a failed
request. "During a switch" is the time in which a deploy or rollback runs.

    .venv/bin/python scripts/bench/switches.py [--switches 20] [--proxy caddy]

Exits with 1 where a request failed.
"""

from __future__ import annotations

import argparse
import http.client
import sys
import tempfile
import threading
import time
from pathlib import Path

from handrail.testing.container import ContainerHost, engine
from handrail.testing.host import free_port
from handrail.testing.project import DeployProject

PORTS = {"caddy": 8081, "nginx": 8082}
VISITORS = 4
QUIET_SECONDS = 10.0

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


class Load:
    """Visitors; ``seconds`` holds when each request began and how long it took."""

    def __init__(self, address: str, port: int) -> None:
        self.address = (address, port)
        self.seconds: list[tuple[float, float]] = []
        self.failures: list[str] = []
        self.reopened = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(n % 2 == 0,)) for n in range(VISITORS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _visit(self, kept: bool) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stop.is_set():
            reused = connection is not None
            connection = connection or http.client.HTTPConnection(*self.address, timeout=15)
            started = time.perf_counter()
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                connection = None
                if reused:
                    self.reopened += 1
                else:
                    self.failures.append(repr(error))
                continue
            self.seconds.append((started, time.perf_counter() - started))
            if answer.status != 200:
                self.failures.append(str(answer.status))
            if not kept or answer.will_close:
                connection.close()
                connection = None
            # About a thousand requests a second in all: a service under load, not a saturated machine.
            time.sleep(0.003)


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
        load = Load(host.address, PORTS[kind])
        load.start()
        time.sleep(QUIET_SECONDS)
        quiet = time.perf_counter()
        for number in range(1, switches + 1):
            release(number)
            project.rollback()
        load.stop()
    before = p99([took for at, took in load.seconds if at < quiet])
    during = p99([took for at, took in load.seconds if at >= quiet])
    print(
        f"{kind:<8}{switches:>9}{switches:>11}{len(load.seconds):>10,}{len(load.failures):>8}{load.reopened:>10}"
        f"{before:>12.1f}{during:>12.1f}",
        flush=True,
    )
    for failure in load.failures[:5]:
        print(f"    {failure}")
    return not load.failures


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
        sys.exit("\nrequests failed")


if __name__ == "__main__":
    main()
