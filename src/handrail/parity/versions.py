"""Rule: each tool has one version, that of the lock, wherever one is written down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handrail.config.load import FILE as PYPROJECT
from handrail.diagnosis import Diagnosis, Replacement
from handrail.parity import hooks, sessions
from handrail.parity.locked import canonical

if TYPE_CHECKING:
    from handrail.parity.sources import Sources

_PIN = re.compile(r"(?<![\w.-])([A-Za-z][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([0-9][A-Za-z0-9.!+_-]*)")
_AT = re.compile(r"(?<![\w./-])([A-Za-z][A-Za-z0-9._-]*)@([0-9]+(?:\.[0-9A-Za-z]+)+)")
_VERSION = re.compile(r"v?([0-9]+(?:\.[0-9A-Za-z]+)+)\Z")
_VARIABLE = re.compile(r"([A-Z][A-Z0-9_]*)_VERSION")
_AFFIXES = re.compile(r"^(?:mirrors|pre-commit)-|-(?:pre-commit-mirror|pre-commit|mirror)$|\.git$")
# Actions that install a tool of the version that is in this input.
_ACTIONS = {
    "astral-sh/ruff-action": ("ruff", "version"),
    "chartboost/ruff-action": ("ruff", "version"),
    "astral-sh/setup-uv": ("uv", "version"),
    "snok/install-poetry": ("poetry", "version"),
    "abatilo/actions-poetry": ("poetry", "poetry-version"),
    "psf/black": ("black", "version"),
    "pdm-project/setup-pdm": ("pdm", "version"),
}


@dataclass(frozen=True)
class Mention:
    """A version of a tool, written down; ``text`` is what stands there and could be replaced, "" where nothing can."""

    tool: str
    version: str
    file: str
    line: int
    text: str


def tools_of_two_versions(sources: Sources) -> Iterator[Diagnosis]:
    """Yield each place that names another version than the lock, or where there is none, than the first place."""
    first: dict[str, tuple[str, str, int]] = {}
    for mention in mentions(sources):
        locked = sources.lock.get(mention.tool)
        if locked is not None:
            wanted, place = locked.version, f"{locked.file}:{locked.line}"
        else:
            known = first.setdefault(mention.tool, (mention.version, mention.file, mention.line))
            wanted, place = known[0], f"{known[1]}:{known[2]}"
        if _same(wanted, mention.version):
            continue
        new = mention.text.replace(mention.version, wanted)
        lock = f"lock {mention.version}: uv lock --upgrade-package '{mention.tool}=={mention.version}'"
        yield Diagnosis(
            "tool-versions-differ",
            "error",
            f"{mention.tool} is {mention.version} here and {wanted} at {place}",
            mention.file,
            mention.line,
            mend=f"write {new}, or {lock}" if new else f"write the commit of {wanted}, or {lock}",
            # Only towards the lock: it is what inv, CI and the environment already use.
            repair=Replacement(mention.file, mention.line, mention.text, new) if locked and new else None,
        )
    yield from _demands(sources)


def _demands(sources: Sources) -> Iterator[Diagnosis]:
    """Yield where ``[tool.ruff] required-version`` does not fit what is locked."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    for tool, demand in sources.declared.required_versions.items():
        locked = sources.lock.get(tool)
        text = demand.text if demand.text[:1] in "<>=!~" else f"=={demand.text}"
        try:
            fits = locked is None or SpecifierSet(text).contains(locked.version, prereleases=True)
        except InvalidSpecifier:
            continue
        if not fits and locked is not None:
            yield Diagnosis(
                "tool-versions-differ",
                "error",
                f"[tool.{tool}] demands {tool} {demand.text}, and {locked.file}:{locked.line} has {locked.version}",
                PYPROJECT,
                demand.line,
                mend=f"change required-version, or lock one that fits: uv lock --upgrade-package {tool}",
            )


def mentions(sources: Sources) -> Iterator[Mention]:
    """Yield every exact version of a tool in the hooks, the workflows, pyproject.toml and the noxfile."""
    for repository in sources.hooks:
        if repository.rev and not repository.is_local:
            name = repository.url.rstrip("/").rsplit("/", 1)[-1]
            while (shorter := _AFFIXES.sub("", name)) != name:
                name = shorter
            # A commit with "# frozen: v1.2" behind it says the version, but cannot be rewritten from it.
            if match := _VERSION.match(repository.rev.text):
                yield Mention(canonical(name), match[1], hooks.FILE, repository.rev.line, repository.rev.text)
            elif match := _VERSION.match(repository.frozen):
                yield Mention(canonical(name), match[1], hooks.FILE, repository.rev.line, "")
        for hook in repository.hooks:
            for dependency in hook.dependencies:
                yield from _pins(dependency.text, hooks.FILE, dependency.line)
    yield from _in_workflows(sources)
    for requirement in sources.declared.requirements:
        yield from _pins(requirement.text.partition(";")[0], PYPROJECT, requirement.line)
    for word in sources.sessions.installs:
        yield from _pins(word.text, sessions.FILE, word.line)


def _in_workflows(sources: Sources) -> Iterator[Mention]:
    for workflow in sources.workflows:
        for step in workflow.steps:
            for number, line in enumerate(step.run.splitlines(), step.run_line):
                if not line.lstrip().startswith("#"):
                    yield from _pins(line, step.file, number)
            action = step.uses.text.partition("@")[0] if step.uses else ""
            if action in _ACTIONS:
                tool, given = _ACTIONS[action]
                text = step.inputs.get(given)
                if text and (match := _VERSION.match(text.text)):
                    yield Mention(tool, match[1], step.file, text.line, text.text)
        variables = [*workflow.variables.items(), *(pair for step in workflow.steps for pair in step.variables.items())]
        for name, text in variables:
            named, version = _VARIABLE.fullmatch(name), _VERSION.match(text.text)
            if named and version and (tool := canonical(named[1])) in sources.lock:
                yield Mention(tool, version[1], workflow.file, text.line, text.text)


def _pins(text: str, file: str, line: int) -> Iterator[Mention]:
    for pattern in (_PIN, _AT):
        for match in pattern.finditer(text):
            yield Mention(canonical(match[1]), match[2], file, line, match[0])


def _same(one: str, other: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other
