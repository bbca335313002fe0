"""What was found: one read of one variable, and the questions that names alone answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

_SECRET = re.compile(
    r"(?:^|_)(?:SECRETS?|TOKENS?|PASSWORDS?|PASSWD|PASSPHRASE|PASS|PWD|PW|CREDENTIALS?|AUTH|COOKIE|SALT|PEPPER|DSN|"
    r"WEBHOOK|SIGNATURE|(?:API|ACCESS|PRIVATE|SIGNING|ENCRYPTION|SSH|DEPLOY|HMAC|JWT|SERVICE)_?KEY|APIKEY|KEY|KEYS)"
    r"(?:_|$|[0-9])"
)
# Their values hold a user's password more often than not.
_ADDRESS_WITH_LOGIN = re.compile(r"(?:^|_)(?:DATABASE|DB|REDIS|BROKER|AMQP|RABBITMQ|MONGO(?:DB)?|EMAIL|CACHE)_UR[LI]$")
_PUBLIC = re.compile(r"(?:^|_)(?:PUBLIC_KEY|KEY_ID|KEY_FILE|KEY_PATH|KEY_NAME|KEY_PREFIX)$")
_SYSTEM = re.compile(
    r"CI|HOME|PATH|PWD|OLDPWD|USER|LOGNAME|USERNAME|SHELL|TERM|COLORTERM|NO_COLOR|FORCE_COLOR|COLUMNS|LINES|LANG|"
    r"LANGUAGE|TZ|TMPDIR|TEMP|TMP|EDITOR|VISUAL|PAGER|DISPLAY|HOSTNAME|INVOCATION_ID|NOTIFY_SOCKET|LISTEN_FDS|"
    r"VIRTUAL_ENV|APPDATA|LOCALAPPDATA|SYSTEMROOT|COMSPEC|USERPROFILE|(?:LC|XDG|SSH|GITHUB|RUNNER|PYTHON|GITLAB|"
    r"PYTEST|UV|PIP|COVERAGE)_?[A-Z0-9_]*"
)
_NOT_SHIPPED = frozenset(
    {"tests", "test", "docs", "doc", "examples", "example", "scripts", "bench", "benchmarks", "tools"}
)
_NOT_SHIPPED_FILES = frozenset({"conftest.py", "noxfile.py", "tasks.py", "setup.py", "fabfile.py", "dodo.py"})


@dataclass(frozen=True)
class Read:
    """One place in the source that reads one variable.

    Attributes:
        file: relative to the project, with ``/``; ``line`` counts from 1.
        reader: what reads it: ``os.environ``, ``environs``, ``decouple``, ``django-environ``, ``starlette``,
            ``pydantic-settings`` or ``click``.
        type: a type of the contract (`handrail.config.contract.TYPES` or ``choice``) where the code says one, else "".
        choices: the words of a ``choice``.
        required: the program fails here without a value.
        default: the literal that stands in for a missing value, as text; None where there is none, or no literal.
        is_secret: the code itself says so (``SecretStr``).
    """

    name: str
    file: str
    line: int
    reader: str
    type: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    default: str | None = None
    is_secret: bool = False

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class OpenRead:
    """A read whose name only the running program knows; ``prefix`` is the known beginning of it, often empty."""

    prefix: str
    file: str
    line: int

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Reads:
    """All that was found, in the order of files and lines.

    ``problems`` has a line ``file:line: why`` for each file that is not Python of a version that can be read here.
    """

    reads: tuple[Read, ...] = ()
    open: tuple[OpenRead, ...] = ()
    problems: tuple[str, ...] = ()

    def by_name(self) -> dict[str, list[Read]]:
        """Return the reads of each variable, names in alphabetical order."""
        found: dict[str, list[Read]] = {}
        for read in sorted(self.reads, key=lambda read: (read.name, read.file, read.line)):
            found.setdefault(read.name, []).append(read)
        return found

    def is_covered_by_open(self, name: str) -> bool:
        """Whether a read with a known beginning may be one of ``name``."""
        return any(read.prefix and name.startswith(read.prefix) for read in self.open)


def is_required(reads: Iterable[Read]) -> bool:
    """Whether the program needs the variable that these reads are of.

    A file that also asks whether it is there, or has a default for it, knows how to go without.
    """
    reads = list(reads)
    without = {read.file for read in reads if not read.required}
    return any(read.required and read.file not in without for read in reads)


def is_secret_name(name: str) -> bool:
    """Whether a variable's name says that its value should be kept secret."""
    upper = name.upper()
    if _PUBLIC.search(upper):
        return False
    return bool(_SECRET.search(upper) or _ADDRESS_WITH_LOGIN.search(upper))


def is_system_name(name: str) -> bool:
    """Whether the system, the shell, Python or the CI sets a variable, and not the project."""
    return bool(_SYSTEM.fullmatch(name.upper()))


def is_shipped(file: str) -> bool:
    """Whether a file is part of what runs on a host, by its place: no test, no document, no script of the project."""
    path = PurePosixPath(file)
    if path.name in _NOT_SHIPPED_FILES and len(path.parts) <= 2:
        return False
    is_test = path.name in ("conftest.py", "tests.py") or path.name.startswith("test_") or path.stem.endswith("_test")
    return not is_test and not _NOT_SHIPPED & set(path.parts[:-1])
