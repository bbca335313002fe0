"""Project + environment + values → everything a deploy needs to know, already merged and checked.

Hosts are the one place where text from a file becomes an argument of a connection, so their form is narrow:
``[user@]host[:port]`` with an IPv6 address in brackets, and no character that means something to a shell or
could pass for an option.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from handrail.config.explain import shown
from handrail.config.load import environment, place
from handrail.config.rules import app_problem
from handrail.config.secret import Secret, mask_secrets
from handrail.errors import ConfigError

if TYPE_CHECKING:
    from handrail.config.schema import Canary, Environment, Project, Proxy, Service, Worker
    from handrail.config.values import Values

_ADDRESS = re.compile(
    r"(?:(?P<user>[A-Za-z_][A-Za-z0-9_.-]{0,63})@)?"
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\]|(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_ROOT = re.compile(r"(?:~|/)[A-Za-z0-9._/-]*")


@dataclass(frozen=True)
class Address:
    """A host as written; ``user`` is empty and ``port`` 0 where ssh_config or the default decides."""

    host: str
    user: str = ""
    port: int = 0


@dataclass(frozen=True)
class Target:
    """Where and how a project is deployed; times in seconds, sizes in MiB, as in the schema."""

    app: str
    environment: str
    hosts: list[str]
    strategy: str
    batches: list[int | str]
    batch_wait: float
    max_failed: int
    proxy: Proxy | None
    canary: Canary
    slots: dict[str, int]
    """Loopback port by slot, ``blue`` and ``green``; empty without a service."""
    watch: float
    drain: float
    approval: bool
    require_check: bool
    tag: bool
    notify: list[Secret]
    """apprise URLs; those whose variable is not set are left out and named in ``warnings``."""
    keep: int
    root: str
    url: str
    lease: float
    reserve: int
    connections: int
    ssh_config: str
    known_hosts: str
    manager: str
    port: int
    python: str
    processes: dict[str, Worker] = field(default_factory=dict)
    service: Service | None = None
    """With the environment's ``manager`` and ``port`` already in it."""
    warnings: list[str] = field(default_factory=list)
    """What a deploy will go without, as sentences; those of the values are in ``Values.warnings``."""


def resolve(project: Project, env_name: str, values: Values) -> Target:
    """Return the target called ``env_name``, with every ``${NAME}`` replaced.

    Raises:
        UsageError: there is no such environment.
        ConfigError: ``pyproject.toml:LINE: …`` for an unset variable, a host of another form, or one named
            twice.
    """
    import msgspec

    from handrail.config.schema import Canary

    env = environment(project, env_name)
    if problem := app_problem(project.app):
        raise ConfigError(f"{place(values.root, 'app')}: {problem}")

    def expanded(text: str, *path: str | int) -> str:
        if "${" not in text:
            return text
        return values.expand(text, place(values.root, "environments", env_name, *path))

    service = project.service
    if service is not None:
        service = msgspec.structs.replace(
            service, manager=env.manager or service.manager, port=env.port or service.port
        )
    notify, warnings = _notify_urls(env.notify, env_name, values)
    return Target(
        app=project.app,
        environment=env_name,
        hosts=_hosts([expanded(host, "hosts", index) for index, host in enumerate(env.hosts)], env_name, values),
        strategy=env.strategy,
        batches=env.batches,
        batch_wait=env.batch_wait,
        max_failed=env.max_failed,
        proxy=_proxy(env.proxy, expanded, place(values.root, "environments", env_name, "proxy", "site"))
        if env.proxy
        else None,
        canary=env.canary or Canary(),
        slots=_slots(env, service.port) if service else {},
        watch=env.watch,
        drain=env.drain,
        approval=env.approval,
        require_check=env.require_check,
        tag=env.tag,
        notify=notify,
        keep=env.keep,
        root=_folder(expanded(env.root, "root"), env_name, values),
        url=expanded(env.url, "url"),
        lease=env.lease,
        reserve=env.reserve,
        connections=env.connections,
        ssh_config=expanded(env.ssh_config, "ssh_config"),
        known_hosts=expanded(env.known_hosts, "known_hosts"),
        manager=service.manager if service else env.manager,
        port=service.port if service else env.port,
        python=env.python or project.build.python,
        processes=project.processes,
        service=service,
        warnings=warnings,
    )


def _slots(env: Environment, port: int) -> dict[str, int]:
    blue, green = env.slots or (port, port + 1 if port < 65535 else port - 1)
    return {"blue": blue, "green": green}


def _proxy(proxy: Proxy, expanded: Callable[..., str], where: str) -> Proxy:
    import msgspec

    from handrail.config.site import parse_site

    site = expanded(proxy.site, "proxy", "site")
    try:
        parse_site(site)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}") from None
    return msgspec.structs.replace(proxy, site=site)


def parse_address(text: str) -> Address:
    """Return the parts of ``[user@]host[:port]``.

    Raises:
        ConfigError: it has another form; says which one is expected, without a place.
    """
    match = _ADDRESS.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else 0
    if match is None or (match["v6"] and not _is_ipv6(match["v6"])):
        near = f"[{text}]" if _is_ipv6(text) else text.removeprefix("ssh://").strip().rstrip("/")
        hint = f"; did you mean {near!r}?" if near != text and _ADDRESS.fullmatch(near) else ""
        raise ConfigError(f"host {shown(text)}: expected [user@]host[:port]{hint}")
    if match["port"] and not 1 <= port <= 65535:
        raise ConfigError(f"host {shown(text)}: expected a port from 1 to 65535")
    return Address(host=match["v6"] or match["name"], user=match["user"] or "", port=port)


def may_be_one(one: str, other: str) -> bool:
    """Tell whether two hosts, as written, may be the same: what one leaves to ssh_config, the other may say."""
    if one == other:
        return True
    try:
        a, b = parse_address(one), parse_address(other)
    except ConfigError:
        return False
    ports, users = {a.port, b.port}, {a.user, b.user}
    return a.host.lower() == b.host.lower() and all(len(each - {0, ""}) < 2 for each in (ports, users))


def _hosts(hosts: list[str], env_name: str, values: Values) -> list[str]:
    seen: set[Address] = set()
    for index, host in enumerate(hosts):
        try:
            address = parse_address(host)
            # A host named twice would wait for its own deploy lock.
            if address in seen:
                raise ConfigError(f"host {shown(host)} is named twice")
        except ConfigError as error:
            where = place(values.root, "environments", env_name, "hosts", index)
            # An expanded host may hold a secret by mistake.
            raise ConfigError(f"{where}: {mask_secrets(error.message, values.secrets())}") from None
        seen.add(address)
    return hosts


def _folder(root: str, env_name: str, values: Values) -> str:
    if not _ROOT.fullmatch(root) or ".." in root.split("/"):
        where = place(values.root, "environments", env_name, "root")
        raise ConfigError(f"{where}: root is {shown(root)}, expected a folder that starts with ~/ or /")
    return root


def _notify_urls(names: list[str], env_name: str, values: Values) -> tuple[list[Secret], list[str]]:
    urls, warnings = [], []
    for index, name in enumerate(names):
        value = values.lookup(name)
        if value is not None and value.text:
            urls.append(Secret(value.text))
        else:
            # A deploy is worth more than the news of it.
            where = place(values.root, "environments", env_name, "notify", index)
            warnings.append(f"{where}: {name} is not set, so nobody is notified through it")
    return urls, warnings


def _is_ipv6(text: str) -> bool:
    import ipaddress

    try:
        return isinstance(ipaddress.ip_address(text), ipaddress.IPv6Address)
    except ValueError:
        return False
