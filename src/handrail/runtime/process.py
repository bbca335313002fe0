"""One process of an app on a host, as every process manager needs to know it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from handrail.config.cron import Schedule, parse_cron
from handrail.config.directives import Value
from handrail.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*\$?\Z")
# Spaces and % are the builders' business. These have a meaning in unit files, in supervisor's INI or in both,
# and differ in how (or whether) they can be escaped.
_UNSAFE_IN_PATH = re.compile(r"""[\x00-\x1f\x7f"'\\;$`]""")


@dataclass(frozen=True)
class Job:
    """When and how long a periodic job runs."""

    cron: str
    """As declared: five fields of cron, or ``@daily`` and the like."""
    spread: bool = False
    """Whether it runs on each host of its environment, and so not on all of them in the same second."""
    timeout: float = 0.0
    """Seconds after which a run is stopped; 0: never."""

    @property
    def schedule(self) -> Schedule:
        return parse_cron(self.cron)


@dataclass(frozen=True)
class Process:
    """Checked on creation: a builder may write each field into a file after its own escaping.

    Raises:
        ConfigError: naming the field, what it holds and what it may hold.
    """

    app: str
    process: str
    app_dir: str
    user: str
    is_root: bool
    stop_timeout: float
    slot: str = ""
    """``blue`` or ``green`` where two of it stand side by side; empty for the only one."""
    instance: int = 0
    """Its number where several of the same process run; 0 for the only one."""
    job: Job | None = None
    """Set where it does not go on running, but runs at its times."""
    hardening: str = "off"
    unit: Mapping[str, Value] = field(default_factory=dict)
    """Further directives of a systemd unit."""

    def __post_init__(self) -> None:
        for what, name in (("app name", self.app), ("process name", self.process)):
            if not _NAME.match(name):
                raise ConfigError(f"{what} {name!r}: expected lower-case letters, digits, '-' and '_', a letter first")
        if not _USER.match(self.user):
            raise ConfigError(f"user {self.user!r}: expected a login name")
        check_path("app folder", self.app_dir)
        if not (math.isfinite(self.stop_timeout) and self.stop_timeout >= 0):
            raise ConfigError(f"stop_timeout {self.stop_timeout!r}: expected seconds, 0 or more")

    @property
    def name(self) -> str:
        """The service's name in the process manager."""
        return f"{self.app}-{self.program}{f'-{self.instance}' if self.instance else ''}"

    @property
    def program(self) -> str:
        """The process's name within the app, with its slot."""
        return f"{self.process}-{self.slot}" if self.slot else self.process

    @property
    def launcher(self) -> str:
        """What the manager starts; a path through a link, so it is resolved at each start."""
        # A job follows a release when it is proved and its processes are brought along, not when `current` moves.
        link = f"slots/{self.slot}" if self.slot else "jobs" if self.job else "current"
        return f"{self.app_dir}/{link}/.handrail/run-{self.program}"

    @property
    def log_file(self) -> str:
        """Where the output goes under a manager that keeps no journal of its own."""
        number = f"-{self.instance}" if self.instance else ""
        return f"{self.app_dir}/shared/log/{self.program}{number}.log"

    @property
    def report(self) -> str:
        """The file that says how a job's last run ended."""
        return f"{self.app_dir}/shared/log/{self.process}.json"


def check_path(what: str, path: str) -> None:
    """Raise ConfigError unless ``path`` is absolute and free of what no unit file can hold safely."""
    found = _UNSAFE_IN_PATH.search(path)
    if found:
        raise ConfigError(f"{what} {path!r}: {found.group()!r} cannot stand in a service's path")
    if not path.startswith("/") or path != path.rstrip(" "):
        raise ConfigError(f"{what} {path!r}: expected an absolute path")
