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
import json
import zlib
from functools import cache
from pathlib import Path

from handrail.agent.protocol import ACTIVE, MARKER, SIDE_BY_SIDE, WANTED

__all__ = ["ACTIVE", "BOOTSTRAP", "FLAGS", "MARKER", "SIDE_BY_SIDE", "WANTED", "greeting", "modules", "program", "text"]

# Neither the user's PYTHON* variables nor what is installed beside Python may change the agent; it starts sooner, too.
FLAGS = ["-I", "-S"]

# Reads "<length>\n<zlib data>" from standard input and runs it; later requests follow on the same stream.
BOOTSTRAP = (
    "import sys,zlib;i=sys.stdin.buffer;n=int(i.readline());"
    "exec(compile(zlib.decompress(i.read(n)),'handrail-agent','exec'))"
)


@cache
def modules(*further: str) -> dict[str, str]:
    """Return the texts of the modules that travel by their names; that of a package is empty.

    Args:
        further: packages whose modules travel beside the agent's, and may import them.
    """
    found = {"handrail": ""}
    for package in ("handrail.agent", *further):
        parents = package.split(".")
        found.update({".".join(parents[:count]): "" for count in range(2, len(parents) + 1)})
        for path in sorted(Path(__file__).parents[1].joinpath(*parents[1:]).glob("*.py")):
            if path.stem not in ("__init__", "starting"):
                found[f"{package}.{path.stem}"] = path.read_text(encoding="utf-8")
    return found


@cache
def greeting() -> bytes:
    """Return the agent's first part with its length, as the bootstrap reads it.

    It goes on with the agent as it is kept on the host, or answers `WANTED` and waits for its `text`.
    """
    digest = hashlib.sha256(json.dumps(modules()).encode()).hexdigest()[:32]
    return _first_part(digest, "handrail.agent.main")


@cache
def text() -> bytes:
    """Return the agent's modules, for the host that asks for them."""
    return _packed(json.dumps(modules()))


@cache
def program(*further: str, main: str) -> bytes:
    """Return a program of the agent's modules and further ones, first part and all, as the bootstrap reads it.

    Args:
        main: the module whose ``main()`` is run.
    """
    return _first_part("", main) + _packed(json.dumps(modules(*further)))


def _first_part(digest: str, main: str) -> bytes:
    starting = Path(__file__).with_name("starting.py").read_text(encoding="utf-8")
    return _packed(f"{starting}\n\nstart({digest!r}, {main!r}, {WANTED!r})\n")


def _packed(content: str) -> bytes:
    data = zlib.compress(content.encode(), 9)
    return b"%d\n%s" % (len(data), data)
