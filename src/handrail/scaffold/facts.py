"""What is known of a repository, and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Framework = Literal["", "django", "flask", "fastapi", "starlette"]
Layout = Literal["src", "flat", "module", "none"]
Backend = Literal["declared", "setup.py", "none"]
LockKind = Literal["uv", "poetry", "pdm", "pip-tools", "requirements", "none"]
RunnerKind = Literal["pytest", "django", "unittest", "none"]
PYTHONS_MEMBER = "scripts/pythons"
"""The folder that tells uv the Pythons of a project which has no ``[project]`` table."""


@dataclass(frozen=True)
class Guess:
    """Something that was not certain: what was taken, and why."""

    what: str
    taken: str
    why: str

    @property
    def sentence(self) -> str:
        return f"{self.what}: {self.taken or 'none'} ({self.why})"


@dataclass(frozen=True)
class Package:
    """What the project is called and where its code is.

    Attributes:
        name: as distributions are called.
        imports: names of the top-level packages and modules that belong to it, the main one first.
        source: the folder that they are in, ``""`` for the project's own.
    """

    name: str
    layout: Layout = "none"
    imports: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Tests:
    """How the project is tested.

    Attributes:
        folder: where its tests are; empty: there are none.
        runner: what runs them.
        needs: requirement lines of what the tests need beside the project, as found in the project's files.
        groups: dependency groups that hold such things.
    """

    folder: str = ""
    runner: RunnerKind = "none"
    needs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Style:
    """Which checks the project already holds its code to.

    Attributes:
        has_ruff: it has chosen rules of ruff, or settings for one version of it.
        formats: it is formatted by ruff.
        has_mypy: it has settings for mypy.
        is_strict: those say ``strict``.
        pins: the versions of ruff and mypy that it is held to, by name.
    """

    has_ruff: bool = False
    formats: bool = False
    has_mypy: bool = False
    is_strict: bool = False
    pins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """Where a web application is: ``module:attribute``; a factory is called."""

    module: str
    attribute: str
    is_factory: bool = False
    file: str = ""

    @property
    def target(self) -> str:
        return f"{self.module}:{self.attribute}"


@dataclass(frozen=True)
class Web:
    """The web application.

    Attributes:
        entry: the application object.
        is_async: it speaks ASGI.
        folder: what its modules are imported from; ``""`` for the project's own folder or an installed package.
        manage: path of Django's manage.py.
        settings: Django's settings module.
        is_settings_default: manage.py or the WSGI module fall back to it by themselves.
        database: a SQLite file next to the code that Django writes.
        health: a path of the application that looks like a health check.
        server: the program that serves it, out of what the project depends on; empty: it depends on none.
    """

    framework: Framework = ""
    entry: Entry | None = None
    is_async: bool = False
    folder: str = ""
    manage: str = ""
    settings: str = ""
    is_settings_default: bool = True
    database: str = ""
    health: str = ""
    server: str = ""


@dataclass(frozen=True)
class CodeVariable:
    """A variable that the code reads.

    Attributes:
        type: a type of the contract.
        default: the code's own default, where it is a plain value.
        has_default: the code goes on without it.
        file, line: where it is read first.
    """

    name: str
    type: str = "string"
    default: str = ""
    has_default: bool = False
    secret: bool = False
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class Existing:
    """Neighbours that are there already; empty texts and lists where they are not.

    Attributes:
        workflows: file names below .github/workflows.
        branch: the branch that CI watches.
        hooks: path of the pre-commit configuration.
    """

    workflows: tuple[str, ...] = ()
    branch: str = "main"
    hooks: str = ""
    dockerfile: str = ""
    compose: str = ""
    compose_is_for_development: bool = False
    """It starts images of others alone, such as a database: nothing is built from this repository."""
    is_git: bool = False


@dataclass(frozen=True)
class Facts:
    """Everything that was found in one repository."""

    package: Package
    backend: Backend = "none"
    build_system: str = ""
    """What ``[build-system]`` names, such as ``hatchling.build``."""
    has_project_table: bool = False
    has_requires_python: bool = False
    """``[project]`` says ``requires-python``, the one place where uv looks for it."""
    has_members: bool = False
    """The project is a uv workspace with members of its own."""
    lists_dependencies: bool = False
    """``[project]`` has a list of dependencies with something in it."""
    dynamic_dependencies: bool = False
    dependencies: tuple[str, ...] = ()
    """Requirement lines of the running program."""
    lock: LockKind = "none"
    requirements: str = ""
    """A requirements file that lists what the program needs."""
    pythons: tuple[str, ...] = ()
    """Minor versions for the matrix."""
    old_pythons: bool = False
    """The project also supports versions older than Handrail's own oldest."""
    tests: Tests = Tests()
    style: Style = Style()
    web: Web | None = None
    variables: tuple[CodeVariable, ...] = ()
    existing: Existing = Existing()
    guesses: tuple[Guess, ...] = field(default=())
