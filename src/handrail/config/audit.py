"""The contract held against every environment and against the code: ``inv env --check``.

A secret is often only where it is used (CI, a deployer's shell), so one that is missing here is a warning; anything
else that is missing or mistyped is an error. The code's side comes from `handrail.config.reads`: what the contract does
not know is an error where the program cannot start without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.config.contract import FILE, Contract, Variable, load_contract
from handrail.config.secret import Secret
from handrail.config.values import Values, load_values
from handrail.diagnosis import Diagnosis, located, place_in
from handrail.errors import ConfigError

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.reads import Read, Reads
    from handrail.config.schema import Project

# Read by Python, by servers and by libraries, and never in a project's own source; PORT each start gets from Handrail.
_OF_LIBRARIES = re.compile(
    r"PORT|DJANGO_SETTINGS_MODULE|WEB_CONCURRENCY|"
    r"(?:PYTHON|GUNICORN|UVICORN|HYPERCORN|FLASK|CELERY|SENTRY|OTEL|AWS|BOTO|GOOGLE|AZURE|DD|NEW_RELIC|PG|MALLOC|OMP|"
    r"REQUESTS|SSL|HTTP|HTTPS|NO|ALL|DEPLOY|HANDRAIL)(?:_[A-Z0-9_]+|[A-Z0-9]+)?"
)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOO_LARGE = 300_000
_LOCKS = frozenset({"uv.lock", "poetry.lock", "pdm.lock", "package-lock.json", "yarn.lock"})


@dataclass
class Row:
    """One variable: by environment, where its value comes from, or what is wrong with it."""

    name: str
    secret: bool
    cells: dict[str, str] = field(default_factory=dict)
    """``env/staging.env:3``, ``process environment``, ``MISSING``, ``WRONG`` or ``-`` (not set, not needed)."""
    read_at: list[str] = field(default_factory=list)


@dataclass
class Audit:
    """What `audit` found; ``environments`` in the order of pyproject.toml."""

    environments: list[str]
    rows: list[Row]
    findings: list[Diagnosis]
    secrets: list[str]
    """Raw texts, for masking."""


def audit(root: Path, project: Project, process: Mapping[str, str], runner: Runner) -> Audit:
    """Return the state of every variable in every environment, and what is wrong.

    Raises:
        ConfigError: the contract itself is wrong.
    """
    from handrail.config.reads import scan
    from handrail.config.target import resolve

    contract = load_contract(root)
    reads = scan(root, runner)
    findings: list[Diagnosis] = []
    everything: dict[str, Values] = {}
    for name in project.environments:
        try:
            everything[name] = load_values(root, name, process=process)
            resolve(project, name, everything[name])
        except ConfigError as error:
            findings.append(located("env-unresolved", "error", error.message, error.next_step))
    for name, values in everything.items():
        findings += _of_values(contract, values, name)
    findings += undeclared(contract, reads, has_service=project.service is not None)
    findings += unused(contract, reads, mentioned(root, runner))
    findings += _types(contract, reads)
    by_name = reads.by_name()
    names = sorted({*contract.variables, *(name for values in everything.values() for name in values)})
    return Audit(
        list(project.environments),
        [_row(name, contract, everything, by_name.get(name, [])) for name in names],
        sorted(dict.fromkeys(findings), key=lambda each: (each.file, each.line, each.code, each.message)),
        [secret for values in everything.values() for secret in values.secrets()],
    )


def _of_values(contract: Contract, values: Values, environment: str) -> Iterator[Diagnosis]:
    for variable in contract.variables.values():
        state = _state(variable, values)
        where = f"in {environment}, expected {variable.expected}"
        if state == "MISSING":
            by = ", ".join(variable.needed_by)
            yield Diagnosis(
                "env-missing",
                "warning" if variable.secret else "error",
                f"{variable.name} is missing {where}; it is needed by {by}",
                FILE,
                variable.line,
                mend=f"set it in {values.looked_in[1 if variable.secret else 0]}, or in the process environment",
            )
        elif state == "WRONG":
            value = values[variable.name]
            is_secret = isinstance(value.value, Secret)
            seen = "has a secret value that does not fit" if is_secret else f"is {value.text[:60]!r}"
            file, line, _ = place_in(value.source)
            yield Diagnosis(
                "env-wrong-type", "error", f"{variable.name} {seen} {where}", file or FILE,
                line if file else variable.line, mend=f"change it where it is set: {value.source}",
            )  # fmt: skip
    for warning in values.warnings:
        yield located("env-file", "warning", warning)


def undeclared(contract: Contract, reads: Reads, *, has_service: bool) -> Iterator[Diagnosis]:
    """Yield each variable that the shipped code reads and the contract does not know, at its first read.

    A project without a service is a library: what it reads is its users' business.
    """
    from handrail.config.reads import is_shipped, is_system_name
    from handrail.config.reads.model import is_required

    for name, every in reads.by_name().items() if has_service else ():
        shipped = [read for read in every if is_shipped(read.file)]
        if not shipped or name in contract.variables or is_system_name(name) or _OF_LIBRARIES.fullmatch(name):
            continue
        needed = is_required(shipped)
        first = next((read for read in shipped if read.required), shipped[0])
        how = "and cannot do without it" if needed else "and the contract does not know it"
        yield Diagnosis(
            "env-undeclared",
            "error" if needed else "warning",
            f"the code reads {name} {how}",
            first.file,
            first.line,
            mend=f"declare it in {FILE}: # type: {first.type or 'string'}, "
            f"needed by: {'app' if needed else 'nothing'}, secret: {_is_secret(name, shipped)}",
        )


def _is_secret(name: str, reads: Iterable[Read]) -> str:
    from handrail.config.reads import is_secret_name

    return "yes" if is_secret_name(name) or any(read.is_secret for read in reads) else "no"


def unused(contract: Contract, reads: Reads, elsewhere: set[str]) -> Iterator[Diagnosis]:
    """Yield each variable that the service is said to read, and that neither code nor any other file names.

    Args:
        elsewhere: the words of the project's files that are no Python.
    """
    read = set(reads.by_name())
    for name, variable in contract.variables.items():
        by_task = [task for task in variable.needed_by if task != "app"]
        if name in read | elsewhere or by_task or reads.is_covered_by_open(name) or _OF_LIBRARIES.fullmatch(name):
            continue
        yield Diagnosis(
            "env-unused",
            "warning",
            f"{name} is declared, and nothing in the project reads it",
            FILE,
            variable.line,
            mend="take it out, or look for the name that the code reads instead",
        )


def _types(contract: Contract, reads: Reads) -> Iterator[Diagnosis]:
    for name, every in reads.by_name().items():
        variable = contract.variables.get(name)
        typed = next((read for read in every if read.type in ("int", "bool", "url")), None)
        if variable and typed and variable.type == "string":
            yield Diagnosis(
                "env-type-loose",
                "warning",
                f"{name} may be any text by the contract, and the code reads it as {typed.type} ({typed.where})",
                FILE,
                variable.line,
                mend=f"write type: {typed.type}, so that a bad value is found before a deploy",
            )


def mentioned(root: Path, runner: Runner) -> set[str]:
    """Return every word of the project's tracked text files that are neither Python, prose, locks nor the contract."""
    from handrail.config.reads import known_to_git

    names = known_to_git(root, runner)
    words: set[str] = set()
    for name in ["pyproject.toml"] if names is None else names:
        path = root / name
        prose = name.endswith((".py", ".md", ".rst", ".svg")) or path.name in _LOCKS or name == FILE
        try:
            if prose or not path.is_file() or path.stat().st_size > _TOO_LARGE:
                continue
            text = path.read_text("utf-8", "replace")
        except OSError:  # as of a Python file that cannot be read, nothing is known of it
            continue
        if name.startswith("env/"):
            # Setting a variable there is no use of it; building another one with it is.
            text = " ".join(re.findall(r"\$\{([A-Za-z0-9_]+)", text))
        words.update(_WORD.findall(text))
    return words


def _row(name: str, contract: Contract, everything: Mapping[str, Values], reads: Iterable[Read]) -> Row:
    variable = contract.variables.get(name, Variable(name, 0, needed_by=()))
    cells = {}
    secret = variable.secret
    for environment, values in everything.items():
        value = values.get(name)
        secret = secret or (value is not None and isinstance(value.value, Secret))
        cells[environment] = _state(variable, values) or (value.source if value else "-")
    return Row(name, secret, cells, [read.where for read in reads])


def _state(variable: Variable, values: Values) -> str:
    """Return MISSING, WRONG or "" for a variable in one environment."""
    value = values.get(variable.name)
    if value is None or not value.text:
        return "MISSING" if variable.needed_by else ""
    return "" if variable.accepts(value.text) else "WRONG"
