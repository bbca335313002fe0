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
    migrating           flock(2): held by a migration, also by one whose agent was killed
    tx/                 the transaction that is under way, or was when its client died

Two processes can act on a transaction: the agent and, from activation on, the *guardian*, a detached copy of it which
inherits the lock. ``tx/decision`` is created with link(2) and holds ``commit`` or ``return``: whoever creates it has
decided, so a commit that arrives late and a lease that runs out cannot both win. The guardian carries out a return,
also when the agent was killed; if the guardian was killed, the agent does, and if both were, the next process that gets
the lock does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from handrail.agent.protocol import ACTIVE, MARKER, SIDE_BY_SIDE, WANTED

__all__ = ["ACTIVE", "BOOTSTRAP", "MARKER", "SIDE_BY_SIDE", "WANTED", "command", "modules", "program", "text"]

# Neither the user's PYTHON* variables nor what is installed beside Python may change the agent; it starts sooner, too.
FLAGS = ["-I", "-S"]

# Runs what its argument holds.
_UNPACK = (
    "import sys,zlib,binascii;exec(compile(zlib.decompress(binascii.a2b_base64(sys.argv[1])),'handrail-agent','exec'))"
)

# For a program that is started through a shell of its own. Reads "<length>\n<zlib data>" from standard input and runs
# it; later requests follow on the same stream.
BOOTSTRAP = (
    "import sys,zlib;i=sys.stdin.buffer;n=int(i.readline());"
    "exec(compile(zlib.decompress(i.read(n)),'handrail-agent','exec'))"
)

# Lines of docstrings and comments. To parse the text would take longer than all else that is done for a command.
_FOR_READERS = re.compile(r'^ *(?:""".*?"""|#[^\n]*|)\n|  # noqa[^\n]*', re.DOTALL | re.MULTILINE)


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


def command(requests: Sequence[bytes] = (), *further: str, main: str = "handrail.agent.main") -> str:
    """Return the command that starts the agent: its first part, and the first requests, are in its argument.

    A server opens a command's standard input only when it has started it, so what is in the command arrives a round
    trip earlier. It goes on with the agent as it is kept on the host, or answers `WANTED` and waits for its `text`.

    Args:
        requests: lines of the protocol; they are for everybody to see on the host, so they hold no secret.
    """
    first = base64.b64encode(zlib.compress(_first_part(_digest(*further), main, requests).encode(), 9)).decode()
    return f'exec python3 {" ".join(FLAGS)} -u -c "{_UNPACK}" {first}'


@cache
def text(*further: str) -> bytes:
    """Return the agent's modules, for the host that asks for them."""
    return _packed(json.dumps(modules(*further)))


@cache
def program(*further: str, main: str) -> bytes:
    """Return a program of the agent's modules and further ones, first part and all, as the bootstrap reads it.

    Args:
        main: the module whose ``main(stdin)`` is run.
    """
    return _packed(_first_part("", main)) + text(*further)


@cache
def _digest(*further: str) -> str:
    digest = hashlib.sha256()
    for name, content in modules(*further).items():
        digest.update(b"%s\0%s\0" % (name.encode(), content.encode()))
    return digest.hexdigest()[:32]


@cache
def _starting() -> str:
    """Return the first part without what only a reader needs, since every start pays for its length."""
    return _FOR_READERS.sub("", Path(__file__).with_name("starting.py").read_text(encoding="utf-8"))


def _first_part(digest: str, main: str, requests: Sequence[bytes] = ()) -> str:
    return f"{_starting()}\nstart({digest!r}, {main!r}, {WANTED!r}, {list(requests)!r})\n"


def _packed(content: str) -> bytes:
    data = zlib.compress(content.encode(), 9)
    return b"%d\n%s" % (len(data), data)
