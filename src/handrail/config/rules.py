"""What types cannot say: ranges, forms of names, and values that would break on a host.

Each rule is a plain comparison that yields the path of the key and one sentence; `handrail.config.load` adds
the line. Nothing here touches files or the network.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from handrail.config.batches import batch_problem, step_problem, step_size
from handrail.config.explain import shown
from handrail.config.locate import KeyPath

if TYPE_CHECKING:
    from handrail.config.directives import Value
    from handrail.config.schema import Canary, Checks, Environment, Project, Service, Smoke, Worker

Problem = tuple[KeyPath, str]

APP_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
ENVIRONMENT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PROCESS_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
# Names that units and launchers have already.
RESERVED_PROCESSES = frozenset({"web", "web-blue", "web-green", "migrate", "migrate-state", "migrate-down"})
_PYTHON = re.compile(r"3\.[0-9]{1,2}")
_ROOT = re.compile(r"(?:~|/|\$\{)[A-Za-z0-9._/${}:~-]*")
_SHELL_WORDS = frozenset({"|", "||", "&&", "&", ";", ">", ">>", "<", "2>", "2>&1"})


def problems(project: Project) -> Iterator[Problem]:
    """Yield the path and the description of everything in ``project`` that cannot be meant."""
    if problem := app_problem(project.app):
        yield ("app",), problem
    if project.service is not None:
        yield from _service(project.service)
    yield from _processes(project)
    yield from _python(("build", "python"), project.build.python)
    if not re.fullmatch(r"[a-z0-9_]*", project.build.platform):
        yield (
            ("build", "platform"),
            f"platform is {shown(project.build.platform)}, expected one such as manylinux_2_28_x86_64",
        )
    yield from _inside_project(("build", "include"), project.build.include)
    for name, environment in project.environments.items():
        path: KeyPath = ("environments", name)
        if not ENVIRONMENT_NAME.fullmatch(name) or name == "example":
            why = "is taken by the contract, env/example.env" if name == "example" else "is not a name"
            yield path, f"environment {shown(name)} {why}; expected letters, digits, - and _"
        yield from _environment(path, environment)
        if environment.strategy in ("blue-green", "canary"):
            yield from _blue_green(path, environment, project.service)
    for when in project.hooks.__struct_fields__:
        for index, command in enumerate(getattr(project.hooks, when)):
            yield from _command(("hooks", when, index), command)
    for index, check in enumerate(project.smoke):
        yield from _smoke(("smoke", index), check)
    yield from _checks(project.checks)
    if project.setup.database:
        yield from _command(("setup", "database"), project.setup.database)


def app_problem(app: str) -> str:
    """Return what is wrong with ``app`` as a name on hosts and in units, or ``""``."""
    if APP_NAME.fullmatch(app):
        return ""
    near = re.sub(r"[^a-z0-9_]+", "-", app.lower()).strip("-_")[:63]
    hint = f"; did you mean {near!r}?" if APP_NAME.fullmatch(near) else ""
    form = "lower-case letters, digits, - and _, a letter first, at most 63"
    return f"app is {shown(app)}, expected {form}{hint}"


def _service(service: Service) -> Iterator[Problem]:
    path: KeyPath = ("service",)
    yield from _command((*path, "command"), service.command)
    for word in re.findall(r"\{([a-z_]+)\}", service.command):
        if word not in ("port", "app"):
            yield (*path, "command"), f"command names {{{word}}}, expected {{port}} or {{app}}"
    yield from _between((*path, "port"), service.port, 1, 65535)
    if service.health and not service.health.startswith("/"):
        yield (*path, "health"), f"health is {shown(service.health)}, expected a path that starts with /"
    yield from _between((*path, "health_status"), service.health_status, 100, 599)
    yield from _seconds((*path, "health_timeout"), service.health_timeout)
    yield from _seconds((*path, "health_interval"), service.health_interval)
    yield from _seconds((*path, "stop_timeout"), service.stop_timeout)
    for name in ("migrate", "migrate_state", "migrate_down"):
        if command := getattr(service, name):
            yield from _command((*path, name), command)
    if service.migrate_state and not service.migrate:
        yield (*path, "migrate_state"), "migrate_state needs migrate: nothing else changes the schema"
    if service.migrate_down and not (service.migrate and service.migrate_state):
        yield (*path, "migrate_down"), "migrate_down needs migrate and migrate_state: it is told where to go"
    for index, name in enumerate(service.migrate_irreversible):
        if not name.strip() or name != " ".join(name.split()):
            yield (
                (*path, "migrate_irreversible", index),
                f"migrate_irreversible names {shown(name)}, expected a migration as migrate or migrate_state prints it",
            )
    if service.migrate_irreversible and not service.migrate:
        yield (*path, "migrate_irreversible"), "migrate_irreversible needs migrate: nothing else changes the schema"
    if service.database and not VARIABLE_NAME.fullmatch(service.database):
        # A URL may hold a password, so what was written is not repeated.
        yield (*path, "database"), "database takes the name of a variable, such as DATABASE_URL; the URL goes into it"
    yield from _inside_project((*path, "shared"), service.shared)
    yield from _unit((*path, "unit"), service.unit)


def _processes(project: Project) -> Iterator[Problem]:
    for name, worker in project.processes.items():
        path: KeyPath = ("processes", name)
        if name in RESERVED_PROCESSES or not PROCESS_NAME.fullmatch(name):
            why = "is taken" if name in RESERVED_PROCESSES else "is not a name"
            yield path, f"process {shown(name)} {why}; expected lower-case letters, digits and -, a letter first"
        if project.service is None:
            yield path, "processes run beside a service; declare one under [tool.handrail.service]"
        yield from _command((*path, "command"), worker.command)
        for word in re.findall(r"\{([a-z_]+)\}", worker.command):
            if word != "app":
                yield (*path, "command"), f"command names {{{word}}}, expected {{app}}"
        yield from _between((*path, "instances"), worker.instances, 0, 99)
        yield from _seconds((*path, "stop_timeout"), worker.stop_timeout)
        yield from _job(path, worker)
        yield from _unit((*path, "unit"), worker.unit)


def _job(path: KeyPath, worker: Worker) -> Iterator[Problem]:
    if not worker.schedule:
        for key in ("hosts", "timeout"):
            if getattr(worker, key) not in ("first", 0):
                yield (*path, key), f"{key} is for periodic jobs: it needs a schedule"
        return
    # Most projects have no job, and every task reads pyproject.toml.
    from handrail.config.cron import parse_cron

    try:
        parse_cron(worker.schedule)
    except ValueError as error:
        yield (*path, "schedule"), f"schedule is {shown(worker.schedule)}: {error}"
    if worker.instances != 1:
        yield (*path, "instances"), "instances is for processes that go on running; a job runs once at a time"
    if worker.timeout != 0:
        yield from _seconds((*path, "timeout"), worker.timeout)


def _unit(path: KeyPath, unit: Mapping[str, Value]) -> Iterator[Problem]:
    if not unit:
        return
    from handrail.config.directives import directive_problems

    for name, problem in directive_problems(unit):
        yield (*path, name), problem


def _environment(path: KeyPath, environment: Environment) -> Iterator[Problem]:
    if not environment.hosts:
        yield (*path, "hosts"), "hosts is empty, expected at least one [user@]host[:port]"
    yield from _between((*path, "keep"), environment.keep, 1, 1000)
    yield from _between((*path, "reserve"), environment.reserve, 0, 10**7)
    yield from _between((*path, "connections"), environment.connections, 1, 1000)
    yield from _between((*path, "port"), environment.port, 0, 65535)
    yield from _seconds((*path, "lease"), environment.lease)
    yield from _rolling(path, environment)
    if environment.canary is not None:
        yield from _canary((*path, "canary"), environment.canary, len(environment.hosts))
        if environment.strategy != "canary":
            yield (
                (*path, "canary"),
                f"canary is declared, and strategy is {shown(environment.strategy)}: it has no effect",
            )
    yield from _python((*path, "python"), environment.python)
    if not _ROOT.fullmatch(environment.root) or ".." in environment.root.split("/"):
        yield (
            (*path, "root"),
            f"root is {shown(environment.root)}, expected a folder that starts with ~/ or /, without ..",
        )
    slots = environment.slots
    if slots and (len(slots) != 2 or slots[0] == slots[1] or not all(1 <= port <= 65535 for port in slots)):
        yield (*path, "slots"), f"slots is {shown(slots)}, expected two different ports"
    for index, name in enumerate(environment.notify):
        if not VARIABLE_NAME.fullmatch(name):
            # An apprise URL holds a token, so what was written is not repeated.
            yield (
                (*path, "notify", index),
                "notify takes names of variables, and the URL goes into the variable",
            )


def _rolling(path: KeyPath, environment: Environment) -> Iterator[Problem]:
    if not environment.batches:
        yield (*path, "batches"), "batches is empty, expected sizes such as [1, '25%']"
    for index, size in enumerate(environment.batches):
        if problem := batch_problem(size):
            yield (*path, "batches", index), problem
    for key in ("batch_wait", "watch", "drain"):
        if getattr(environment, key) != 0:
            yield from _seconds((*path, key), getattr(environment, key))
    yield from _between((*path, "max_failed"), environment.max_failed, 0, 1000)


def _blue_green(path: KeyPath, environment: Environment, service: Service | None) -> Iterator[Problem]:
    named = f"'{environment.strategy}'"
    if service is None:
        yield (*path, "strategy"), f"strategy is {named}, and there is no [tool.handrail.service] to switch"
    elif not service.health:
        yield (*path, "strategy"), f"strategy is {named}, which asks the new release before the switch: set health"
    if environment.proxy is None:
        yield (*path, "strategy"), f'strategy is {named}, which needs a proxy = {{ kind = "caddy", site = "…" }}'


def _canary(path: KeyPath, canary: Canary, hosts: int) -> Iterator[Problem]:
    if not canary.steps:
        yield (*path, "steps"), "steps is empty, expected shares such as ['5%', '25%'] or numbers of hosts such as [1]"
    for index, step in enumerate(canary.steps):
        if problem := step_problem(step, hosts):
            yield (*path, "steps", index), problem
    if len({type(step) for step in canary.steps}) > 1:
        yield (*path, "steps"), "steps are either shares of the traffic or numbers of hosts, not both"
    elif not any(step_problem(step, hosts) for step in canary.steps):
        sizes = [step_size(step) for step in canary.steps]
        if sizes != sorted(set(sizes)):
            yield (*path, "steps"), f"steps is {shown(canary.steps)}, expected each to be greater than the one before"
    for key in ("bake", "bake_max"):
        yield from _seconds((*path, key), getattr(canary, key))
    if canary.bake_max < canary.bake:
        yield (*path, "bake_max"), f"bake_max is {shown(canary.bake_max)}, expected at least bake, {shown(canary.bake)}"
    yield from _between((*path, "min_requests"), canary.min_requests, 1, 10**9)
    for key, low, high in (
        ("max_error_rate", 0, 1), ("max_error_increase", 0, 1), ("latency_percentile", 1, 99.99),
        ("max_latency_ratio", 0, 1000), ("latency_floor", 0, 3600),
    ):  # fmt: skip
        value = getattr(canary, key)
        if not (math.isfinite(value) and low <= value <= high):
            yield (*path, key), f"{key} is {shown(value)}, expected {low} to {high}"
    if 0 < canary.max_latency_ratio < 1:
        yield (
            (*path, "max_latency_ratio"),
            f"max_latency_ratio is {shown(canary.max_latency_ratio)}, expected 0 or at least 1",
        )


def _smoke(path: KeyPath, check: Smoke) -> Iterator[Problem]:
    if not check.path.startswith("/"):
        yield (*path, "path"), f"path is {shown(check.path)}, expected one that starts with /"
    yield from _between((*path, "status"), check.status, 100, 599)
    yield from _seconds((*path, "max_seconds"), check.max_seconds)
    yield from _pattern((*path, "body"), check.body)
    for header, pattern in check.headers.items():
        yield from _pattern((*path, "headers", header), pattern)


def _checks(checks: Checks) -> Iterator[Problem]:
    if not 0 <= checks.coverage_floor <= 100:
        yield ("checks", "coverage_floor"), "coverage_floor is not between 0 and 100 per cent"
    for index, version in enumerate(checks.pythons):
        yield from _python(("checks", "pythons", index), version or "an empty text")
    if checks.test:
        yield from _command(("checks", "test"), checks.test)
        if checks.coverage_floor:
            what = f"coverage_floor is declared, and test is {shown(checks.test)}: it has no effect"
            yield ("checks", "coverage_floor"), f"{what}; let that command hold a floor"
    yield from _inside_project(("checks", "workflows"), checks.workflows)
    for name, command in checks.extra.items():
        yield from _command(("checks", "extra", name), command)


def _command(path: KeyPath, command: str) -> Iterator[Problem]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        yield path, f"the command cannot be split into words: {str(error).lower()}"
        return
    if not words or "\0" in command:
        yield path, "the command is empty" if not words else "the command contains a NUL character"
    elif operators := [word for word in words if word in _SHELL_WORDS]:
        yield path, f"{operators[0]} needs a shell, and commands run without one; put it into a script"


def _between(path: KeyPath, value: int, low: int, high: int) -> Iterator[Problem]:
    if not low <= value <= high:
        yield path, f"{path[-1]} is {shown(value)}, expected {low} to {high}"


def _seconds(path: KeyPath, value: float) -> Iterator[Problem]:
    if not math.isfinite(value) or not 0 < value <= 86400:
        yield path, f"{path[-1]} is {shown(value)}, expected seconds, more than 0 and at most 86400"


def _python(path: KeyPath, version: str) -> Iterator[Problem]:
    if version and not _PYTHON.fullmatch(version):
        match = re.match(r"3\.[0-9]{1,2}(?=\.)", version)
        hint = f"; did you mean {match[0]!r}?" if match else ""
        yield path, f"Python version {shown(version)}, expected a minor version such as '3.12'{hint}"


def _pattern(path: KeyPath, pattern: str) -> Iterator[Problem]:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        yield path, f"{shown(pattern)} is not a regular expression: {' '.join(str(error).split())}"


def _inside_project(path: KeyPath, entries: list[str]) -> Iterator[Problem]:
    for index, entry in enumerate(entries):
        if not entry.strip("/. ") or entry.startswith(("/", "~")) or ".." in entry.split("/") or "\0" in entry:
            yield (*path, index), f"{shown(entry)} is not a relative path inside the project"
