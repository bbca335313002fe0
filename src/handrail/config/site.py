"""The address at which a proxy serves an app."""

from __future__ import annotations

import re
from dataclasses import dataclass

from handrail.errors import ConfigError

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_SITE = re.compile(rf"(?P<scheme>https?://)?(?P<name>{_NAME})?(?::(?P<port>[0-9]{{1,5}}))?")


@dataclass(frozen=True)
class Site:
    """Where a proxy listens: ``shop.example.com``, ``:8080``, ``http://shop.example.com:8080``; port 0: none named."""

    scheme: str
    name: str
    port: int


def parse_site(text: str) -> Site:
    """Return the parts of an address.

    Raises:
        ConfigError: it is none; without a place.
    """
    match = _SITE.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    if match is None or (port is None and not match["name"]) or (port is not None and not 1 <= port <= 65535):
        raise ConfigError(
            f"site {text!r}: expected one such as shop.example.com, :8080 or http://shop.example.com; "
            "a port is 1 to 65535"
        )
    return Site((match["scheme"] or "").removesuffix("://"), match["name"] or "", port or 0)
