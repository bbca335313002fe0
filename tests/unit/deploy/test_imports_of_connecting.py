"""What connecting needs is imported in the background, while other threads already ask for it."""

from __future__ import annotations

import subprocess
import sys

# The thread of `warm_up` is held where it has begun Fabric and not yet Paramiko, while another asks for Paramiko.
SCRIPT = """
import importlib.abc
import pathlib
import sys
import threading
import types

importers, begun, met = set(), threading.Event(), threading.Event()


class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "fabric.connection":
            begun.set()
            met.wait(0.5)
        if name.partition(".")[0] == "paramiko":
            importers.add(threading.get_ident())
            if threading.current_thread() is threading.main_thread():
                met.set()


sys.meta_path.insert(0, Watch())

from handrail.deploy import connect

target = types.SimpleNamespace(ssh_config="ssh_config")
pathlib.Path("ssh_config").write_text("Host *")
connect.warm_up()
assert begun.wait(20)
print(connect.address_of("deploy@web1", target, pathlib.Path(".")))
print(len(importers))
"""


def test_one_thread_at_a_time_imports_paramiko(tmp_path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("web1\n1\n", "")
