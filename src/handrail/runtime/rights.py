"""What the deploying user must be allowed to run as root, and nothing beside it.

The commands are read from what the agent is sent (`handrail.runtime.service_spec`, `proxy_spec`), so that what a
deploy runs and what a host allows have one source. How the agent writes a file where only root may is the one part
that is known here too; a test runs the agent against these rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

# sudo matches full paths. These are Debian's and Ubuntu's.
PROGRAMS = {name: f"/usr/bin/{name}" for name in ("chmod", "install", "journalctl", "mv", "rm", "systemctl")} | {
    "nginx": "/usr/sbin/nginx"
}
_SUDO = ["sudo", "-n"]
# A "*" in sudoers matches spaces and further options too (journalctl has some that write), so numbers are spelled out.
_DIGITS = 5
_SPECIAL = re.compile(r"([,:=\\ *?\[\]!])")


def root_commands(service: Mapping[str, Any]) -> list[list[str]]:
    """Return the argv lists that a deploy, a rollback and ``inv logs`` run as root for a service, without ``sudo -n``.

    Args:
        service: as `handrail.runtime.service_spec` describes it, with its ``slots`` and ``proxy`` where it has them,
            and ``keeps_slots`` where a host without a proxy still has slots from before.

    An argv may hold the literals ``{lines}`` and ``{instance}``, which stand for numbers.
    """
    proxy = service.get("proxy")
    has_slots = proxy or service.get("keeps_slots")
    instances = [service, *service.get("slots", {}).values()] if has_slots else [service]
    found: list[list[str]] = []
    workers = [argv for spec in service.get("processes", {}).values() for argv in _of_any_number(spec)]
    own = [argv for spec in instances for argv in _of_instance(spec)]
    for argv in [*own, *workers, *(_of_proxy(proxy) if proxy else ())]:
        if argv not in found:
            found.append(argv)
    return found


def _of_any_number(spec: Mapping[str, Any]) -> Iterator[list[str]]:
    """Let `inv scale`, and a deploy, go beyond the number that is declared today; a job has none."""
    name = spec["name"]
    any_number = name if "report" in spec else f"{name.rstrip('0123456789')}{{instance}}"
    return ([word.replace(name, any_number) for word in argv] for argv in _of_instance(spec))


def _of_instance(spec: Mapping[str, Any]) -> Iterator[list[str]]:
    sequences = ("check", "reload", "start", "pause", "stop", "restart", "retire", "forget")
    yield from _as_root([argv for name in sequences for argv in spec.get(name, ())])
    yield from _as_root(spec[name] for name in ("pid", "logs", "logs_follow"))
    for item in spec["files"]:
        if item.get("root"):
            yield from _writing(item["path"], item["mode"])
            yield ["rm", "-f", item["path"]]


def _of_proxy(spec: Mapping[str, Any]) -> Iterator[list[str]]:
    yield from _as_root([*spec["check"], *spec["test"], *spec["reload"]])
    if spec["root"]:
        for path in (spec["path"], spec["page"]):
            yield from _writing(path, 0o644)
            yield ["rm", "-f", path]
        canary = spec["canary"] or {"shares": []}
        for flags in (sorted(set(spec["flags"].values())), canary["shares"]):
            for flag in flags:
                yield from _writing(flag, 0o644)
            yield from (["mv", "-f", one, other] for one in flags for other in flags if one != other)
        yield from (["rm", "-f", flag] for flag in canary["shares"])
        yield from _as_root(argv for name in ("make_log", "open_log", "remove_log") for argv in canary.get(name, []))


def _as_root(commands: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    return (list(argv[len(_SUDO) :]) for argv in commands if list(argv[: len(_SUDO)]) == _SUDO)


def _writing(path: str, mode: int) -> Iterator[list[str]]:
    yield ["install", "-D", "-m", f"{mode:o}", "/dev/stdin", f"{path}.handrail-new"]
    yield ["mv", "-f", f"{path}.handrail-new", path]


def render_sudoers(user: str, app: str, commands: Iterable[Sequence[str]]) -> str:
    """Return a sudoers file with which ``user`` may run these commands as root, without a password."""
    rules = [rule for argv in commands for rule in _rules(argv)]
    # A name in capitals would be read as an alias.
    name = f'"{user}"' if user.isupper() else user
    return (
        f"# What Handrail runs as root to deploy {app}.\n{name} ALL=(root) NOPASSWD: " + ", \\\n    ".join(rules) + "\n"
    )


def _rules(argv: Sequence[str]) -> Iterator[str]:
    # An unknown program gets no rule by guess: that it is missing here must show in the first test.
    program = argv[0] if argv[0].startswith("/") else PROGRAMS[argv[0]]
    words = [program, *(_SPECIAL.sub(r"\\\1", word) for word in argv[1:])]
    lines = [" ".join(words)]
    for number, digits in (("{lines}", _DIGITS), ("{instance}", 2)):
        if number in lines[0]:
            lines = [line.replace(number, "[0-9]" * count) for line in lines for count in range(1, digits + 1)]
    yield from lines
