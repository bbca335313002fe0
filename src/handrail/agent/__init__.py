"""The agent: the one program that runs on a host. See `agent.py` for its design and `payload` for how it gets there."""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path

# Noise from shell start-up files comes before this line; the client skips to it.
MARKER = "HANDRAIL-AGENT-1"
ACTIVE = ("activating", "activated", "switching", "switched")
"""Steps of a transaction from which a host has to return."""

# Reads "<length>\n<zlib data>" from standard input and runs it; later requests follow on the same stream.
BOOTSTRAP = (
    "import sys,zlib;i=sys.stdin.buffer;n=int(i.readline());"
    "SOURCE=zlib.decompress(i.read(n));exec(compile(SOURCE,'handrail-agent','exec'))"
)


@cache
def payload() -> bytes:
    """Return the compressed agent with its length, as the bootstrap reads it."""
    packed = zlib.compress(Path(__file__).with_name("agent.py").read_bytes(), 9)
    return b"%d\n%s" % (len(packed), packed)
