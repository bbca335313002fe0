"""The text of a requirements file as data: what is locked, with which hashes, for which targets.

This reads what uv exports and compiles and what people lock by hand; it resolves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from handrail.errors import ConfigError

_HASH = re.compile(r"\s--hash[=\s]\s*(\S+)")
_COMMENT = re.compile(r"(^|\s)#.*$")
_NESTED = re.compile(r"^(?:-r|--requirement|-c|--constraint)(?:\s+|=|(?<=-[rc]))(.+)$")
_EDITABLE = re.compile(r"^(?:-e|--editable)[\s=]+(.+)$")
_LINKS = re.compile(r"^(-f|--find-links)([\s=]+)(.+)$")
_MARKER = re.compile(r"\s;|;\s")
_PINNED_VCS = re.compile(r"^(git|hg|bzr|svn)\+.+@[0-9a-fA-F]{40,64}(#.*)?$")


@dataclass(frozen=True)
class Requirement:
    """One locked requirement.

    Attributes:
        name: normalized.
        text: as pip reads it, without marker and hashes.
        url: where it is from; ``""``: an index.
        marker: for which targets it is meant; ``""``: all.
        hashes: such as ``sha256:…``; none only for a commit of a repository.
    """

    name: str
    text: str
    url: str
    marker: str
    hashes: tuple[str, ...]

    def line(self) -> str:
        """Return the requirement as a line for pip."""
        return " ".join([self.text, *(f"--hash={value}" for value in self.hashes)])

    def applies(self, environments: Sequence[dict[str, str]]) -> bool:
        """Return whether it is meant for any of these marker environments."""
        return _holds(self.marker, environments)


@dataclass(frozen=True)
class LocalPackage:
    """A wheel, or a folder whose package is to be built; its marker as in `Requirement`."""

    path: Path
    marker: str = ""

    def applies(self, environments: Sequence[dict[str, str]]) -> bool:
        """Return whether it is meant for any of these marker environments."""
        return _holds(self.marker, environments)


@dataclass(frozen=True)
class Requirements:
    """A requirements file.

    Attributes:
        options: index options, for pip to read from a file as they are.
        locked: requirements with hashes, or at a commit of a repository.
        local: what lies on this machine.
        loose: lines that are not locked.
        nested: other files that it names.
    """

    options: tuple[str, ...] = ()
    locked: tuple[Requirement, ...] = ()
    local: tuple[LocalPackage, ...] = ()
    loose: tuple[str, ...] = ()
    nested: tuple[Path, ...] = ()

    @property
    def is_locked(self) -> bool:
        """Whether every line says exactly what is meant."""
        return not self.loose and not self.nested


def parse_requirements(text: str, folder: Path, where: str) -> Requirements:
    """Return what a requirements file says.

    Args:
        folder: what its relative paths start from.
        where: the file's name, for messages.

    Raises:
        ConfigError: ``where:LINE: …`` for a line that is no requirement.
    """
    options: list[str] = []
    locked: list[Requirement] = []
    local: list[LocalPackage] = []
    loose: list[str] = []
    nested: list[Path] = []
    for number, line in _lines(text):
        if match := _NESTED.match(line):
            nested.append(folder / match[1].strip())
        elif match := _EDITABLE.match(line):
            local.append(_local(match[1], folder, f"{where}:{number}"))
        elif line.startswith("-"):
            options.append(_absolute_links(line, folder))
        elif _is_path(line):
            local.append(_local(line, folder, f"{where}:{number}"))
        else:
            requirement = _requirement(line, f"{where}:{number}")
            if _is_locked(requirement):
                locked.append(requirement)
            elif requirement.url.startswith("file:"):
                local.append(_local(f"{requirement.url} ; {requirement.marker}", folder, f"{where}:{number}"))
            else:
                loose.append(line)
    return Requirements(tuple(options), tuple(locked), tuple(local), tuple(loose), tuple(nested))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number of its first line and the text of each logical line."""
    start, parts = 0, []
    for number, raw in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", raw).rstrip()
        start = start or number
        if line.endswith("\\"):
            parts.append(line[:-1])
            continue
        whole = " ".join([*parts, line]).strip()
        if whole:
            yield start, whole
        start, parts = 0, []
    if whole := " ".join(parts).strip():
        yield start, whole


def _requirement(line: str, where: str) -> Requirement:
    from packaging.requirements import InvalidRequirement
    from packaging.requirements import Requirement as Parsed
    from packaging.utils import canonicalize_name

    hashes = tuple(sorted(_HASH.findall(line)))
    body = re.split(r"\s--[a-z]", line, maxsplit=1)[0].strip()
    try:
        parsed = Parsed(body)
    except InvalidRequirement:
        # The line may hold a token in a URL: its number is enough to find it.
        raise ConfigError(f"{where}: not a requirement, expected a line such as 'flask==3.1.0'") from None
    extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
    url = parsed.url or ""
    text = f"{parsed.name}{extras} @ {url}" if url else f"{parsed.name}{extras}{parsed.specifier}"
    return Requirement(canonicalize_name(parsed.name), text, url, str(parsed.marker or ""), hashes)


def _is_locked(requirement: Requirement) -> bool:
    return bool(requirement.hashes) or bool(_PINNED_VCS.match(requirement.url))


def _is_path(line: str) -> bool:
    return line.startswith((".", "/", "~", "file:"))


def _local(text: str, folder: Path, where: str) -> LocalPackage:
    from packaging.markers import InvalidMarker, Marker

    words = re.split(r"\s--?[a-z]", text, maxsplit=1)[0]
    name, marker = (*_MARKER.split(words, maxsplit=1), "")[:2]
    name = name.strip()
    if name.startswith("file:"):
        name = unquote(name.removeprefix("file:").removeprefix("//"))
    try:
        path = (folder / Path(name).expanduser()).resolve()
    except RuntimeError:  # of a user who does not exist
        path = folder / name
    if not path.is_dir() and not (path.is_file() and path.suffix == ".whl"):
        raise ConfigError(f"{where}: {name} is neither a folder with a package nor a wheel")
    try:
        return LocalPackage(path, str(Marker(marker)) if marker.strip() else "")
    except InvalidMarker:
        raise ConfigError(f"{where}: {marker.strip()} is not a marker such as python_version < '3.11'") from None


def _holds(marker: str, environments: Sequence[dict[str, str]]) -> bool:
    from packaging.markers import Marker

    if not marker:
        return True
    parsed = Marker(marker)
    return any(parsed.evaluate({**environment, "extra": ""}) for environment in environments)


def _absolute_links(line: str, folder: Path) -> str:
    """Return an option line with its path made absolute: pip will read it from a file elsewhere."""
    match = _LINKS.match(line)
    if match and "://" not in match[3] and (folder / match[3]).exists():
        return f"{match[1]}{match[2]}{(folder / match[3]).resolve()}"
    return line
