"""What a project declares under ``[tool.handrail]``.

These types are the schema: `handrail.config.load` decodes pyproject.toml into them with msgspec and turns an
unknown key or a wrong type into one line with file and line number. Field comments are the reference
that docs/configuration.md shows. All times are in seconds, all sizes in MiB, unless a name says otherwise.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table in which an unknown key is an error."""


class Service(_Table, frozen=True):
    """``[tool.handrail.service]``: the process that a release runs."""

    command: str
    """Shell-like command line without shell operators; ``{port}`` and ``{app}`` are filled in."""
    port: int = 8000
    """Loopback TCP port that the command listens on."""
    health: str = ""
    """Path asked over HTTP on the port; empty: only the process is checked."""
    health_status: int = 200
    """Status that counts as healthy."""
    health_timeout: float = 30.0
    """How long a new release may take to become healthy."""
    health_interval: float = 0.25
    """Pause between two questions."""
    stop_timeout: float = 15.0
    """How long the process may take to stop before it is killed."""
    manager: Literal["systemd", "supervisor"] = "systemd"
    """Process manager on the hosts."""
    migrate: str = ""
    """Run once, on the first host, in the new release's directory, before any switch."""
    migrate_state: str = ""
    """Prints the schema's present state; recorded before and after ``migrate``."""
    migrate_down: str = ""
    """Brings the schema back to ``{state}``, for ``inv rollback --with-migrations``; needs the other two."""
    migrate_irreversible: list[str] = []
    """Names of migrations that cannot be undone; a rollback across one needs a person's word."""
    database: str = ""
    """Name of the variable that holds the database's URL, for ``inv db.plan``."""
    shared: list[str] = []
    """Paths in the release that are links into the app's ``shared/`` folder (uploads, SQLite files)."""
    hardening: Literal["off", "basic", "strict"] = "basic"
    """systemd: what the service and its background processes may not do on the host."""
    unit: dict[str, str | int | float | bool | list[str]] = {}
    """systemd: further directives of the unit's ``[Service]``, such as ``MemoryMax``."""


class Worker(_Table, frozen=True):
    """``[tool.handrail.processes.<name>]``: a background process or a periodic job that belongs to each release."""

    command: str
    """Shell-like command line without shell operators; ``{app}`` is filled in."""
    instances: int = 1
    """How many of it run on each host; ``inv scale`` overrides it."""
    stop_timeout: float = 30.0
    """Seconds in which it may finish its job after SIGTERM before it is killed; of a periodic job, seconds that a
    deploy waits for a run to end by itself before it is asked to."""
    schedule: str = ""
    """Makes it a periodic job: cron's five fields or ``@daily`` and the like, in UTC."""
    hosts: Literal["first", "all"] = "first"
    """A periodic job runs on the environment's first host, or on each."""
    timeout: float = 0.0
    """Seconds after which a run of a periodic job is stopped; 0: never."""
    unit: dict[str, str | int | float | bool | list[str]] = {}
    """systemd: further directives of the unit's ``[Service]``, such as ``MemoryMax``."""


class Build(_Table, frozen=True):
    """``[tool.handrail.build]``: how a bundle is made."""

    kind: Literal["auto", "wheel", "tree"] = "auto"
    """``auto``: a wheel where pyproject.toml has a build system, else the git-tracked tree."""
    python: str = ""
    """Python minor version on the hosts, such as ``"3.11"``; empty: the one that runs this task."""
    platform: str = ""
    """Wheel platform of the hosts, such as ``"manylinux_2_28_x86_64"``; empty: this machine's."""
    requirements: str = ""
    """Requirements file of a plain tree; empty: uv.lock, else requirements.txt, where there is one."""
    include: list[str] = []
    """For ``wheel``: git-tracked files or folders that travel beside the wheel (manage.py, templates)."""
    exclude: list[str] = []
    """For ``tree``: git-tracked files or folders that stay behind, as gitignore-like globs."""


class Hooks(_Table, frozen=True):
    """``[tool.handrail.hooks]``: commands run on the machine that deploys, or ``inv:<task>`` for a task."""

    before_build: list[str] = []
    after_build: list[str] = []
    before_upload: list[str] = []
    after_upload: list[str] = []
    before_activate: list[str] = []
    after_activate: list[str] = []
    before_commit: list[str] = []
    after_commit: list[str] = []
    on_failure: list[str] = []


class Smoke(_Table, frozen=True):
    """``[[tool.handrail.smoke]]``: one HTTP check that ``inv smoke`` makes."""

    path: str
    """Path that starts with ``/``."""
    status: int = 200
    """Expected status."""
    body: str = ""
    """Regular expression that the body must match somewhere."""
    headers: dict[str, str] = {}
    """Response headers and the regular expression that each must match."""
    max_seconds: float = 5.0
    """The answer must be complete in this time."""


class Checks(_Table, frozen=True):
    """``[tool.handrail.checks]``: what ``inv check`` runs, beside lint, types, tests and build."""

    coverage_floor: float = 0.0
    """Least line coverage in per cent; 0 switches the floor off. Only with pytest, so not with ``test``."""
    coverage_package: str = ""
    """Import name of the package that coverage measures; empty: ``app`` with ``-`` turned into ``_``."""
    pythons: list[str] = msgspec.field(default_factory=lambda: ["3.10", "3.11", "3.12", "3.13"])
    """The matrix of ``nox -s tests``."""
    lint: Literal["all", "check", "errors"] = "all"
    """What ruff judges: ``all`` rules and format, ``check`` the rules alone, ``errors`` only what cannot run."""
    types: Literal["strict", "project", "off"] = "strict"
    """How mypy judges: always strictly, as the project configures it, or not at all."""
    test: str = ""
    """Command that runs the tests instead of pytest, such as ``python manage.py test``."""
    test_variables: dict[str, str] = {}
    """Variables that the tests get where the process environment does not set them."""
    workflows: list[str] = msgspec.field(default_factory=lambda: [".github/workflows"])
    """Workflow files and folders whose safety ``inv lint`` checks."""
    extra: dict[str, str] = {}
    """Further checks: name and command line."""
    parity: Literal["warn", "error", "off"] = "warn"
    """What ``inv lint`` makes of differences between laptop, hooks and CI."""


class Setup(_Table, frozen=True):
    """``[tool.handrail.setup]``: what ``inv setup`` starts beside the environment."""

    compose_file: str = ""
    """Docker compose file with the development services."""
    database: str = ""
    """Command that initialises the development database; must be repeatable."""
    python: str = ""
    """Python version of the virtual environment; empty: uv's choice from requires-python."""


class Proxy(_Table, frozen=True):
    """``[tool.handrail.environments.<name>.proxy]``: the web server in front of the service on each host."""

    kind: Literal["caddy", "nginx"]
    """Which one."""
    site: str
    """Where it listens: ``shop.example.com``, ``:8080`` or ``http://shop.example.com``."""


class Canary(_Table, frozen=True):
    """``[tool.handrail.environments.<name>.canary]``: how ``strategy = "canary"`` judges the new release."""

    steps: list[int | str] = msgspec.field(default_factory=lambda: ["10%"])
    """Shares of every host's traffic, one after the other (``["5%", "25%"]``), or numbers of hosts (``[1, 3]``)."""
    bake: float = 60.0
    """Seconds for which a step is watched at least, before it may be promoted."""
    bake_max: float = 600.0
    """Seconds after which a step is decided although the canary had fewer requests than ``min_requests``."""
    min_requests: int = 100
    """Requests that the canary must have answered in a step before it is judged."""
    on_silence: Literal["return", "promote"] = "return"
    """What ``bake_max`` without ``min_requests`` means."""
    max_error_rate: float = 0.05
    """Greatest share of the canary's requests that may end with a status of 500 or more; 0.05 is 5 %."""
    max_error_increase: float = 0.01
    """By how much that share may be greater than the rest's; 0.01 is one percentage point."""
    latency_percentile: float = 95.0
    """Which percentile of the request times is compared."""
    max_latency_ratio: float = 1.5
    """How many times the rest's percentile the canary's may be; 0 switches the comparison off."""
    latency_floor: float = 0.05
    """Seconds below which the canary's percentile is never too slow."""


class Environment(_Table, frozen=True):
    """``[tool.handrail.environments.<name>]``: where a release goes and under which rules."""

    hosts: list[str]
    """``[user@]host[:port]``, each may name variables as ``${NAME}``; the first one runs migrations."""
    strategy: Literal["restart", "rolling", "blue-green", "canary"] = "restart"
    """How hosts change: ``restart`` all at once, ``rolling`` batch by batch, ``blue-green`` side by side, ``canary``
    side by side with a part of the traffic first."""
    batches: list[int | str] = msgspec.field(default_factory=lambda: [1, "25%"])
    """``rolling``: size of each next batch, in hosts or per cent of them; the last one repeats."""
    batch_wait: float = 0.0
    """``rolling``: seconds between a batch that became healthy and the next."""
    max_failed: int = 0
    """``rolling``: hosts that may fail, keep the old release and be left out, before all return."""
    proxy: Proxy | None = None
    """The web server in front; ``blue-green`` and ``canary`` need one."""
    canary: Canary | None = None
    """``canary``: steps and thresholds; without the table, its defaults."""
    slots: list[int] = []
    """``blue-green`` and ``canary``: the two loopback ports; empty: the service's and the next one."""
    watch: float = 2.0
    """Side by side: seconds for which the new release must stay healthy with traffic before it is kept."""
    drain: float = 10.0
    """Side by side: seconds that requests in the old release may take to end before it is stopped."""
    approval: bool = False
    """Ask for the environment's name to be typed before a deploy, rollback or the like changes anything."""
    require_check: bool = False
    """Refuse commits without a green ``inv check`` record."""
    tag: bool = False
    """Make the git tag ``deploy/<env>/<id>`` after success."""
    notify: list[str] = []
    """Names of variables that hold apprise URLs."""
    keep: int = 5
    """Good releases kept on each host beside the running one."""
    root: str = "~/apps"
    """Folder on the host that holds ``<app>/``."""
    url: str = ""
    """Public address for ``inv smoke`` and the result line; empty: the port on the host's own loopback."""
    lease: float = 60.0
    """How long an activated, uncommitted host waits for its client before it returns by itself."""
    reserve: int = 256
    """MiB that must stay free on the host's disk beside what the release needs."""
    connections: int = 64
    """Hosts worked on at the same time."""
    ssh_config: str = ""
    """Extra ssh_config file, relative to the project."""
    known_hosts: str = ""
    """Extra known_hosts file, relative to the project."""
    manager: Literal["", "systemd", "supervisor"] = ""
    """Overrides the service's process manager."""
    port: int = 0
    """Overrides the service's port; 0: not."""
    python: str = ""
    """Overrides the build's Python version."""


class Project(_Table, frozen=True):
    """``[tool.handrail]``: one project."""

    app: str
    """Name on hosts and in units: lower-case letters, digits, ``-`` and ``_``; starts with a letter."""
    service: Service | None = None
    processes: dict[str, Worker] = {}
    build: Build = Build()
    environments: dict[str, Environment] = {}
    hooks: Hooks = Hooks()
    smoke: list[Smoke] = []
    checks: Checks = Checks()
    setup: Setup = Setup()
