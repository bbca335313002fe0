"""Whether Paramiko's encryption limits an upload: processor time of a bulk stream, and the time of a login, beside ssh.

Both talk to one OpenSSH server on loopback, Paramiko through the factory that every deploy uses. The stream's
processor time is the client's alone: `cat` on the server throws it away.

    .venv/bin/python scripts/bench/ciphers.py --megabytes 200 --repeat 3
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from handrail.deploy.connect import connect
from handrail.testing.host import write_client_files
from handrail.testing.sshd import SshdHost

SINK = "cat > /dev/null"
PIECE = 1 << 17


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the best one is shown")
    asked = parser.parse_args()
    data = os.urandom(PIECE) * (asked.megabytes * 1_000_000 // PIECE)
    with tempfile.TemporaryDirectory() as name, SshdHost(Path(name) / "host") as host:
        folder = host.client_folder
        write_client_files(folder, [host])
        target: Any = SimpleNamespace(ssh_config=str(folder / "ssh_config"), known_hosts=str(folder / "known_hosts"))
        ssh = ["ssh", "-F", target.ssh_config, host.name]

        def paramiko_login() -> Any:
            return connect(host.name, target, Path(name))

        def paramiko_stream() -> float:
            connection = paramiko_login()
            channel = connection.transport.open_session()
            channel.exec_command(SINK)
            before = time.process_time()
            for start in range(0, len(data), PIECE):
                channel.sendall(data[start : start + PIECE])
            channel.shutdown_write()
            channel.recv_exit_status()
            took = time.process_time() - before
            connection.close()
            return took

        def run_ssh(command: str, stdin: bytes = b"") -> None:
            subprocess.run([*ssh, command], input=stdin, stderr=subprocess.DEVNULL, check=True)

        def ssh_stream() -> float:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            run_ssh(SINK, data)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        paramiko_login().close()  # the imports are none of its business
        rows = {
            "Paramiko": (paramiko_stream, lambda: wall(lambda: paramiko_login().close())),
            "ssh": (ssh_stream, lambda: wall(lambda: run_ssh("true"))),
        }
        print(f"{'':<10}{f'{asked.megabytes} MB, s of processor':>26}{'login, s':>12}")
        for title, (stream, login) in rows.items():
            print(f"{title:<10}{best(stream, asked.repeat):>26.2f}{best(login, asked.repeat):>12.2f}")


def best(measure: Callable[[], float], times: int) -> float:
    return min(measure() for _ in range(times))


def wall(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
