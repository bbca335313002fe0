"""Facts of a host of Debian 12, as its set-up finds it: bare, or with everything in place."""

from __future__ import annotations

import copy
from typing import Any

from handrail.hosts.want import Want, bare_facts
from handrail.runtime.proxy import CADDYFILE
from handrail.runtime.rights import render_sudoers, root_commands

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBUZfzVfSnLQXx1lNMpcnDIpNKCz1c8pBPhxeLM2OMb0 laptop"
SYSTEM = {"id": "debian", "id_like": "", "pretty_name": "Debian GNU/Linux 12 (bookworm)"}


def bare(want: Want) -> dict[str, Any]:
    """Return the facts of a host as a provider hands it over, with package lists."""
    facts = bare_facts(want, SYSTEM)
    known = ["sudo", "caddy", "nginx", "supervisor", "python3.11", "python3.11-venv"]
    facts["apt"] = {
        "installed": ["sudo"],
        "candidates": dict.fromkeys(known, "1"),
        "age": 60.0,
        "interrupted": False,
    }
    return copy.deepcopy(facts)


def ready(want: Want) -> dict[str, Any]:
    """Return the facts of a host on which nothing is left to do."""
    facts = bare(want)
    home, folder = "/home/deploy", facts["folder"]
    facts["account"] = {"uid": 1001, "gid": 1001, "home": home, "shell": "/bin/bash"}
    facts["keys"] = f"{KEY}\n"
    modes = {home: 0o755, f"{home}/.ssh": 0o700, f"{home}/.ssh/authorized_keys": 0o600, folder: 0o755}
    modes[f"{folder}/shared"] = 0o755
    facts["owners"] = {path: {"uid": 1001, "gid": 1001, "mode": mode} for path, mode in modes.items()}
    facts["owners"][want.sudoers] = {"uid": 0, "gid": 0, "mode": 0o440}
    service = want.service(facts)
    facts["files"] = {CADDYFILE: "import /etc/caddy/handrail/*.caddy\n"}
    if service:
        facts["files"][want.sudoers] = render_sudoers("deploy", "shop", root_commands(service))
    facts["apt"]["installed"] += ["caddy", "nginx", "supervisor", "python3.11", "python3.11-venv"]
    facts["pythons"], facts["has_venv"] = {"3.11": "/usr/bin/python3.11"}, True
    facts["programs"] = {"caddy": "/usr/bin/caddy", "nginx": "/usr/sbin/nginx"}
    facts["units"] = {
        name: {"is_there": True, "active": True, "enabled": True} for name in ("caddy", "nginx", "supervisor")
    }
    return facts
