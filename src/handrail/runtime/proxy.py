"""The proxies in front of a service: one file each that the proxy includes, and how to make it take effect.

What is written is complete for each instance of the service (`handrail.runtime.process`): the agent writes
one of these texts, tests it, and reloads. Which instance is live is asked of the proxy itself, never remembered.

Caddy: the file stands in a folder that the Caddyfile imports, and is loaded through the admin API, which takes the
whole configuration or none of it. It names every instance, and the one that serves is the one whose flag file
exists; the switch is one rename of that file. Not a reload, because Caddy opens a new listening socket for each
(SO_REUSEPORT), and connections that wait in the old one's queue are reset: one in some ten thousand requests.
nginx keeps its sockets: its file stands in ``conf.d`` and names the one instance; it is tested with ``nginx -t``
before the reload, and taken back when the test fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from handrail.config.site import Site, parse_site
from handrail.errors import ConfigError

CADDYFILE = "/etc/caddy/Caddyfile"
CADDY_FOLDER = "/etc/caddy/handrail"
CADDY_ADMIN = "localhost:2019"
NGINX_FOLDER = "/etc/nginx/conf.d"


def proxy_spec(kind: str, *, app: str, site: str, ports: Mapping[str, int], is_root: bool) -> dict[str, Any]:
    """Return what the agent needs to point a proxy at one of the service's instances, as a JSON-able dict.

    Args:
        kind: ``caddy`` or ``nginx``.
        site: where the proxy listens; see `handrail.config.site`.
        ports: loopback TCP port of each instance, by name.

    The dict holds:
        ``kind``; ``path``, ``root``: the file, and whether only root may write it.
        ``contents``: the file's text for each instance.
        ``flags``: path of each instance's flag file; empty where the file itself tells which one serves.
        ``ports``: as given.
        ``test``, ``reload``: argv lists, run in order after the file was written.
        ``check``: argv lists that all exit 0 when this user can use the proxy.
        ``included_by``, ``include_line``: a file that must hold this line, ``""`` where none must.
        ``admin``: address that tells the live configuration, ``""`` where the file does.

    Raises:
        ConfigError: unknown kind, or a site that is none.
    """
    builders: dict[str, Callable[..., dict[str, Any]]] = {"caddy": _caddy, "nginx": _nginx}
    if kind not in builders:
        raise ConfigError(f"proxy {kind!r} is unknown; known: {', '.join(builders)}")
    place = parse_site(site)
    spec = builders[kind](app, place, [] if is_root else ["sudo", "-n"])
    render, flag = spec.pop("render"), spec.pop("flag")
    return {
        "kind": kind,
        "root": not is_root,
        "ports": dict(ports),
        "contents": {name: render(port, sorted(set(ports.values()))) for name, port in ports.items()},
        "flags": {name: flag(port) for name, port in ports.items()} if flag else {},
        **spec,
    }


def _caddy(app: str, site: Site, _sudo: list[str]) -> dict[str, Any]:
    scheme = f"{site.scheme}://" if site.scheme else ""
    address = f"{scheme}{site.name}{f':{site.port}' if site.port else ''}"

    def render(_port: int, ports: Sequence[int]) -> str:
        routes = "".join(
            f"""\
    @live-{port} file {{
        root {CADDY_FOLDER}
        try_files {app}.live-{port}
    }}
    handle @live-{port} {{
        reverse_proxy 127.0.0.1:{port} {{
            # A service that restarts is waited for, so that nobody sees the gap.
            lb_try_duration 5s
        }}
    }}
"""
            for port in ports
        )
        everyone = " ".join(f"127.0.0.1:{port}" for port in ports)
        return f"""\
# Written by Handrail; changes are overwritten by the next deploy.
{address} {{
{routes}\
    # Between two looks at the flags the other one may have got it; both serve then.
    handle {{
        reverse_proxy {everyone} {{
            lb_policy first
            lb_try_duration 5s
        }}
    }}
}}
"""

    return {
        "path": f"{CADDY_FOLDER}/{app}.caddy",
        "render": render,
        "flag": lambda port: f"{CADDY_FOLDER}/{app}.live-{port}",
        "test": [],
        "reload": [["caddy", "reload", "--config", CADDYFILE, "--adapter", "caddyfile", "--address", CADDY_ADMIN]],
        "check": [["caddy", "version"]],
        "included_by": CADDYFILE,
        "include_line": f"import {CADDY_FOLDER}/*.caddy",
        "admin": CADDY_ADMIN,
    }


def _nginx(app: str, site: Site, sudo: list[str]) -> dict[str, Any]:
    if site.scheme == "https":
        raise ConfigError(f"site https://{site.name}: Handrail's nginx file has no certificates; expected http")
    listen = site.port or 80

    def render(port: int, _ports: Sequence[int]) -> str:
        return f"""\
# Written by Handrail; changes are overwritten by the next deploy.
upstream handrail_{app} {{
    server 127.0.0.1:{port};
}}
server {{
    listen {listen};
    server_name {site.name or "_"};
    location / {{
        proxy_pass http://handrail_{app};
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Connection "";
    }}
}}
"""

    return {
        "path": f"{NGINX_FOLDER}/handrail-{app}.conf",
        "render": render,
        "flag": None,
        "test": [[*sudo, "nginx", "-t"]],
        "reload": [[*sudo, "nginx", "-s", "reload"]],
        "check": [[*sudo, "nginx", "-t"]],
        "included_by": "",
        "include_line": "",
        "admin": "",
    }
