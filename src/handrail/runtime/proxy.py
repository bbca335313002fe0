"""The proxies in front of a service: one file each that the proxy includes, and how to make it take effect.

What is written names every instance of the service (`handrail.runtime.process`), and the one that serves is the one
whose flag file exists: the switch is one rename of that file, which the proxy sees with the next request. The agent
tests and loads the file itself only where another one is loaded, and asks the proxy which one that is: it tells a mark
that stands in the file. Which instance is live is never remembered. The page of ``inv maintenance`` is a flag of the
same kind: while its file is there, the proxy answers with it and 503.

Not a reload, because visitors notice one. Caddy opens a new listening socket for each (SO_REUSEPORT), and connections
that wait in the old one's queue are reset: one in some ten thousand requests. nginx keeps its sockets, but starts
new workers, and the old ones close the connections that visitors keep.

Caddy: the file stands in a folder that the Caddyfile imports, and is loaded through the admin API, which takes the
whole configuration or none of it.

nginx: the file stands in ``conf.d``; it is tested with ``nginx -t`` before the reload, and taken back when the test
fails. Whether the reload took effect shows only in the answer of a new worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from handrail.config.site import Site, parse_site
from handrail.errors import ConfigError

CADDYFILE = "/etc/caddy/Caddyfile"
CADDY_FOLDER = "/etc/caddy/handrail"
CADDY_ADMIN = "localhost:2019"
CADDY_LOGS = "/var/log/caddy"
NGINX_LOGS = "/var/log/nginx"
NGINX_FOLDER = "/etc/nginx/conf.d"
NGINX_ASKED = "/.handrail-configuration"
MARK = "{mark}"
# How long a proxy keeps a connection to the service that no request uses. Shorter than any server's own time (2 s in
# gunicorn, 5 s in uvicorn), else a request could meet one that is being closed; and a drain need not wait for more.
IDLE = "1s"
_CADDY_IDLE = f"""\
            transport http {{
                keepalive {IDLE}
            }}
"""
# What a browser and a crawler are told about when to come again, in seconds.
RETRY_AFTER = 120


def proxy_spec(
    kind: str, *, app: str, site: str, ports: Mapping[str, int], is_root: bool, shares: Sequence[int] = ()
) -> dict[str, Any]:
    """Return what the agent needs to point a proxy at one of the service's instances, as a JSON-able dict.

    Args:
        kind: ``caddy`` or ``nginx``.
        site: where the proxy listens; see `handrail.config.site`.
        ports: loopback TCP port of each instance, by name.
        shares: per cents of the traffic that a canary may get; empty: it is never split.

    The dict holds:
        ``kind``; ``path``, ``root``: the file, and whether only root may write it.
        ``content``: the file's text; the agent puts a digest of it in the place of `MARK`.
        ``flags``: path of each instance's flag file.
        ``page``: path of the maintenance page, which is served instead of the service while it is there.
        ``ports``: as given.
        ``test``, ``reload``: argv lists, run in order after the file was written.
        ``check``: argv lists that all exit 0 when this user can use the proxy.
        ``included_by``, ``include_line``: a file that must hold this line, ``""`` where none must.
        ``canary``: how to split the traffic and where each request is logged; None without ``shares``. ``flag`` (Caddy:
            the path of the flag that gives ``{share}`` per cent to ``{port}``; ``shares`` lists them all) or
            ``content`` (nginx: a file whose ``{servers}`` are filled in), ``log``, and argv lists that make it readable
            and remove it: ``make_log``, ``open_log``, ``remove_log``.
        ``asked``: where the loaded file's mark is told: ``address`` and ``path`` of an HTTP request and its ``host``.
        ``admin``: whether that address must answer before any file was written.

    Raises:
        ConfigError: unknown kind, or a site that is none.
    """
    builders: dict[str, Callable[..., dict[str, Any]]] = {"caddy": _caddy, "nginx": _nginx}
    if kind not in builders:
        raise ConfigError(f"proxy {kind!r} is unknown; known: {', '.join(builders)}")
    place = parse_site(site)
    different = sorted(set(ports.values()))
    spec = builders[kind](app, place, different, [] if is_root else ["sudo", "-n"], shares)
    flag = spec.pop("flag")
    return {
        "kind": kind,
        "root": not is_root,
        "ports": dict(ports),
        "flags": {name: flag(port) for name, port in ports.items()},
        **spec,
        "canary": _with_flags(spec["canary"], different, shares),
    }


def _with_flags(canary: dict[str, Any] | None, ports: Sequence[int], shares: Sequence[int]) -> dict[str, Any] | None:
    if canary is None or not canary["flag"]:
        return canary and {**canary, "shares": []}
    return {**canary, "shares": [canary["flag"].format(share=share, port=port) for port in ports for share in shares]}


def _caddy(app: str, site: Site, ports: Sequence[int], sudo: list[str], shares: Sequence[int]) -> dict[str, Any]:
    scheme = f"{site.scheme}://" if site.scheme else ""
    address = f"{scheme}{site.name}{f':{site.port}' if site.port else ''}"

    log = f"{CADDY_LOGS}/handrail-{app}.log"

    canaries = _caddy_log(log) if shares else ""
    canaries += "".join(_caddy_share(app, port, share) for port in ports for share in shares)
    # Which instance answered is read from the log, where nothing of the upstream can be seen.
    tell = "        header X-Handrail-Instance {}\n" if shares else ""
    routes = "".join(
        f"""\
    @live-{port} file {{
        root {CADDY_FOLDER}
        try_files {app}.live-{port}
    }}
    handle @live-{port} {{
{tell.format(port)}\
        reverse_proxy 127.0.0.1:{port} {{
            # A service that restarts is waited for, so that nobody sees the gap.
            lb_try_duration 5s
{_CADDY_IDLE}        }}
    }}
"""
        for port in ports
    )
    everyone = " ".join(f"127.0.0.1:{port}" for port in ports)
    content = f"""\
# Written by Handrail; changes are overwritten by the next deploy.
{address} {{
    vars handrail_{app} {MARK}
    @maintenance file {{
        root {CADDY_FOLDER}
        try_files {app}.maintenance
    }}
    handle @maintenance {{
        route {{
            # A 503 is no answer to a condition or a range.
            request_header -If-None-Match
            request_header -If-Modified-Since
            request_header -Range
            header Retry-After {RETRY_AFTER}
            header Cache-Control no-store
            header Content-Type "text/html; charset=utf-8"
            rewrite * /{app}.maintenance
            # Whatever is sent is answered with the page; newer versions refuse to serve a file to a POST.
            @sent not method GET HEAD
            method @sent GET
            file_server {{
                root {CADDY_FOLDER}
                status 503
                pass_thru
            }}
            # It was deleted between the two looks.
            respond 503
        }}
    }}
{canaries}{routes}\
    # Between two looks at the flags the other one may have got it; both serve then.
    handle {{
        reverse_proxy {everyone} {{
            lb_policy first
            lb_try_duration 5s
{_CADDY_IDLE}        }}
    }}
}}
"""

    return {
        "path": f"{CADDY_FOLDER}/{app}.caddy",
        "page": f"{CADDY_FOLDER}/{app}.maintenance",
        "content": content,
        "flag": lambda port: f"{CADDY_FOLDER}/{app}.live-{port}",
        "test": [],
        "reload": [["caddy", "reload", "--config", CADDYFILE, "--adapter", "caddyfile", "--address", CADDY_ADMIN]],
        "check": [["caddy", "version"]],
        "included_by": CADDYFILE,
        "include_line": f"import {CADDY_FOLDER}/*.caddy",
        "asked": {"address": CADDY_ADMIN, "host": CADDY_ADMIN, "path": "/config/apps/http"},
        "admin": True,
        "canary": {
            "flag": f"{CADDY_FOLDER}/{app}.share-{{share}}-{{port}}",
            "content": "",
            "log": log,
            "make_log": [[*sudo, "install", "-m", "644", "-o", "caddy", "-g", "caddy", "/dev/null", log]],
            "open_log": [[*sudo, "chmod", "644", log]],
            "remove_log": [],
        }
        if shares
        else None,
    }


def _caddy_log(log: str) -> str:
    """Return the access log of a site whose traffic may be split: always on, because a reload is not free; bounded."""
    return f"""\
    log {{
        output file {log} {{
            roll_size 16MiB
            roll_keep 1
        }}
        format filter {{
            wrap json
            fields {{
                request delete
                user_id delete
            }}
        }}
    }}
"""


def _caddy_share(app: str, port: int, share: int) -> str:
    return f"""\
    @share-{share}-{port} {{
        file {{
            root {CADDY_FOLDER}
            try_files {app}.share-{share}-{port}
        }}
        expression `{{http.request.uuid}}.matches("{_share_of_uuids(share)}")`
    }}
    handle @share-{share}-{port} {{
        header X-Handrail-Instance {port}
        reverse_proxy 127.0.0.1:{port} {{
            lb_try_duration 1s
{_CADDY_IDLE}        }}
    }}
"""


def _share_of_uuids(share: int) -> str:
    """Return a regular expression that this per cent of random UUIDs match; Caddy 2.6 has no weights of upstreams."""
    if share >= 100:
        return "^"
    first = f"{round(share * 4096 / 100):03x}"
    below = [f"{first[:i]}[{'0123456789abcdef'[: int(digit, 16)]}]" for i, digit in enumerate(first) if digit != "0"]
    return f"^({'|'.join(below)})"


def _nginx(app: str, site: Site, ports: Sequence[int], sudo: list[str], shares: Sequence[int]) -> dict[str, Any]:
    if site.scheme == "https":
        raise ConfigError(f"site https://{site.name}: Handrail's nginx file has no certificates; expected http")
    listen = site.port or 80
    # No name in .log: the host's log rotation would take the file away from under a canary.
    log = f"{NGINX_LOGS}/handrail-{app}.canary"
    page = f"{NGINX_FOLDER}/handrail-{app}.maintenance"

    def upstream(name: str, servers: str) -> str:
        return f"upstream {name} {{\n    {servers}\n    keepalive 32;\n    keepalive_timeout {IDLE};\n}}\n"

    def whole(before: str, choice: str) -> str:
        return f"""\
# Written by Handrail; changes are overwritten by the next deploy.
{before}\
server {{
    listen {listen};
    server_name {site.name or "_"};
    # Kept answers about the flags would be old ones.
    open_file_cache off;
{choice}\
    # "close", which nginx sends otherwise, would end kept connections and WebSockets.
    set $handrail_connection "";
    if ($http_upgrade) {{
        set $handrail_connection upgrade;
    }}
    location / {{
        if (-f {page}) {{
            return 503;
        }}
        # Only the 503 above: what the service itself answers is passed on.
        error_page 503 /.handrail-maintenance;
        proxy_pass http://$handrail_upstream;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $handrail_connection;
    }}
    location = /.handrail-maintenance {{
        internal;
        alias {page};
        types {{ }}
        default_type "text/html; charset=utf-8";
        add_header Retry-After {RETRY_AFTER} always;
        add_header Cache-Control no-store always;
    }}
    # Which file is loaded: for the deploys of this host alone.
    location = {NGINX_ASKED} {{
        access_log off;
        if ($remote_addr != 127.0.0.1) {{
            return 404;
        }}
        return 200 "{MARK}";
    }}
}}
"""

    group = f"handrail_{app}"
    flags = {port: f"{NGINX_FOLDER}/handrail-{app}.live-{port}" for port in ports}
    groups = "".join(upstream(f"{group}.{port}", f"server 127.0.0.1:{port};") for port in ports)
    # Between two looks at the flags the other one may have got it; both serve then.
    groups += upstream(group, "\n    ".join(f"server 127.0.0.1:{port};" for port in ports))
    choice = f"    set $handrail_upstream {group};\n" + "".join(
        f"    if (-f {flag}) {{\n        set $handrail_upstream {group}.{port};\n    }}\n"
        for port, flag in flags.items()
    )

    return {
        "path": f"{NGINX_FOLDER}/handrail-{app}.conf",
        "page": page,
        "content": whole(groups, choice),
        "flag": flags.__getitem__,
        "test": [[*sudo, "nginx", "-t"]],
        "reload": [[*sudo, "nginx", "-s", "reload"]],
        "check": [[*sudo, "nginx", "-t"]],
        "included_by": "",
        "include_line": "",
        "asked": {"address": f"127.0.0.1:{listen}", "host": site.name or "localhost", "path": NGINX_ASKED},
        "admin": False,
        "canary": {
            "flag": "",
            "content": whole(
                f"log_format {group} '$upstream_addr|$upstream_status|$status|$request_time';\n"
                + upstream(group, "{servers}"),
                f"    set $handrail_upstream {group};\n"
                # One access_log takes the place of those that are inherited, so that nginx's own is named, too.
                f"    access_log {log} {group};\n    access_log {NGINX_LOGS}/access.log;\n",
            ),
            "log": log,
            "make_log": [[*sudo, "install", "-m", "644", "/dev/null", log]],
            "open_log": [[*sudo, "chmod", "644", log]],
            "remove_log": [[*sudo, "rm", "-f", log]],
        }
        if shares
        else None,
    }
