"""The harness itself: what a watcher has stopped goes on, whatever it has become."""

from __future__ import annotations

import json
import subprocess

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.faults.moments import Watcher
from handrail.testing.host import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# What exec does to a process's command line, done to one that is stopped.
RENAME = """
import sys
pid = sys.argv[1]
start, end = map(int, open("/proc/%s/stat" % pid).read().rsplit(")", 1)[1].split()[45:47])
with open("/proc/%s/mem" % pid, "r+b", buffering=0) as memory:
    memory.seek(start)
    memory.write(b"x" * (end - start))
"""


def test_a_child_of_the_agent_that_was_stopped_on_its_way_to_another_program_goes_on(
    container_host: ContainerHost,
) -> None:
    host, folder = container_host, "/tmp/moments"
    host.run_as_root(f"mkdir -p {folder}/tx")
    words = ["docker", "exec", host.container, "sh", "-c", "echo $$; sleep 0.5; exec sleep 0 # handrail-agent"]
    with Watcher(host, f"{folder}/tx/state.json", "", ["begun"]) as watcher:
        child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        pid = child.stdout.readline().strip()
        host.run_as_root(f"cat > {folder}/tx/state.json", stdin=json.dumps({"deploy": "d1", "step": "begun"}))
        wait_until(watcher.reached.is_set, "the stop", 10)
        host.run_as_root(f"python3 -c '{RENAME}' {pid}")
        assert "handrail" not in host.run_as_root(f"cat /proc/{pid}/cmdline")
        watcher.go_on()
    assert child.wait(10) == 0
    child.stdout.close()
    host.run_as_root(f"rm -rf {folder}")
