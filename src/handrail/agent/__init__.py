"""The agent: what Handrail runs on a host, as one process a deploy.

Its modules travel as one text over the session's standard input (`payload`), to hosts that have nothing else: they use
the standard library only and run on Python 3.8 and newer. `main` lists the requests that it serves.

On the host, below ``<root>/<app>/``::

    releases/<id>/      code, .venv, .handrail/{manifest.json, env, run-*, state}
    current             -> releases/<id>; only ever replaced by rename(2)
    slots/<slot>        -> ../releases/<id>; what the blue and the green instance run, where there are such
    shared/  store/     links' targets; objects by sha256
    history.jsonl       append-only; what was good is what this file says, in its order
    lock                flock(2): freed by the kernel when its last holder dies
    tx/                 the transaction that is under way, or was when its client died

Two processes can act on a transaction: the agent and, from activation on, the *guardian*, a detached copy of it which
inherits the lock. ``tx/decision`` is created with link(2) and holds ``commit`` or ``return``: whoever creates it has
decided, so a commit that arrives late and a lease that runs out cannot both win. The guardian carries out a return,
also when the agent was killed; if the guardian was killed, the agent does, and if both were, the next process that gets
the lock does.
"""

from __future__ import annotations

import hashlib
import zlib
from functools import cache
from pathlib import Path

from handrail.agent.protocol import ACTIVE, MARKER, SIDE_BY_SIDE

__all__ = ["ACTIVE", "BOOTSTRAP", "FLAGS", "MARKER", "SIDE_BY_SIDE", "payload", "source"]

# Neither the user's PYTHON* variables nor what is installed beside Python may change the agent; it starts sooner, too.
FLAGS = ["-I", "-S"]

# Reads "<length>\n<zlib data>" from standard input and runs it; later requests follow on the same stream.
BOOTSTRAP = (
    "import sys,zlib;i=sys.stdin.buffer;n=int(i.readline());"
    "exec(compile(zlib.decompress(i.read(n)),'handrail-agent','exec'))"
)

# Finds the agent's modules in the text that travelled, whatever is installed on the host.
_IMPORTER = """
import importlib.machinery, sys
class Modules:
    def find_spec(name, path=None, target=None):
        if name in MODULES:
            return importlib.machinery.ModuleSpec(name, Modules, is_package=not MODULES[name])
    def create_module(spec):
        return None
    def exec_module(module):
        name = module.__name__
        if name not in COMPILED:
            COMPILED[name] = compile(MODULES[name], name, "exec")
        exec(COMPILED[name], module.__dict__)
sys.meta_path.insert(0, Modules)
from handrail.agent import compiled
compiled.load(DIGEST, COMPILED)
from {main} import main
main()
"""


@cache
def source(*further: str, main: str = "handrail.agent.main") -> str:
    """Return the whole agent as one Python text.

    Args:
        further: packages whose modules travel beside the agent's, and may import them.
        main: the module whose ``main()`` is run.
    """
    modules = {"handrail": ""}
    for package in ("handrail.agent", *further):
        parents = package.split(".")
        modules.update({".".join(parents[:count]): "" for count in range(2, len(parents) + 1)})
        for path in sorted(Path(__file__).parents[1].joinpath(*parents[1:]).glob("*.py")):
            if path.stem != "__init__":
                modules[f"{package}.{path.stem}"] = path.read_text(encoding="utf-8")
    text = f"MODULES = {modules!r}\nCOMPILED = {{}}\n"
    return f"{text}DIGEST = {hashlib.sha256(text.encode()).hexdigest()!r}\n{_IMPORTER.replace('{main}', main)}"


@cache
def payload(*further: str, main: str = "handrail.agent.main") -> bytes:
    """Return the compressed text of `source` with its length, as the bootstrap reads it."""
    packed = zlib.compress(source(*further, main=main).encode(), 9)
    return b"%d\n%s" % (len(packed), packed)
