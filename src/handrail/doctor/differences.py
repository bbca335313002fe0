"""Two fingerprints beside each other, in sentences, what explains most first.

The order is that of a search: other source before other packages, those before another Python, that before variables
and tools, and the machine itself last. What differs between any two machines, and matters to nobody, is counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

# Of the machine: key, what it is called, and what a difference is known to do.
_SYSTEM = (
    ("name", "the system", ""),
    ("machine", "the processor", "compiled packages differ"),
    ("libc", "libc", "compiled packages may differ"),
    (
        "case_sensitive",
        "whether file names tell upper from lower case",
        "an import or a file can be found on one side only",
    ),
    ("distribution", "the distribution", ""),
    ("root", "being root", "permissions are not checked for root"),
    ("umask", "the umask", "new files get other permissions"),
    ("open_files", "the limit of open files", ""),
    ("cpus", "the number of processors", "tests run in another order, side by side"),
    ("kernel", "the kernel", ""),
)
_EACH = 5
"""So many packages that one side lacks get a sentence each."""
_PYTHON = (
    ("implementation", "the implementation", ""),
    ("optimize", "python -O", "assert does nothing with it"),
    ("utf8_mode", "UTF-8 mode", "files open with another encoding"),
    ("dev_mode", "development mode", "warnings show that do not otherwise"),
    ("in_environment", "being in a virtual environment", ""),
)
_LOCALE = (
    ("encoding", "the encoding of text files", "reading one can fail on one side"),
    ("file_names", "the encoding of file names", ""),
    ("name", "the locale", "sorting and messages differ"),
)


def differences(
    here: Mapping[str, Any], there: Mapping[str, Any], name: str, known: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """Return (sentences, the most suspicious first; names of variables that only one side has and nobody reads).

    Args:
        name: what the other side is called, such as ``ci.json``.
        known: variables that the code or the contract names.
    """
    sentences = [
        *_source(here, there, name),
        *_packages(here, there, name),
        *_python(here, there, name),
        *_variables(here, there, name, known),
        *_tools(here, there, name),
        *_each("locale", _LOCALE, here, there, name),
        *_time(here, there, name),
        *_each("system", _SYSTEM, here, there, name),
    ]
    return sentences, sorted((_names(here) ^ _names(there)) - set(known) - _hashed_names(here, there))


def _source(here: Mapping[str, Any], there: Mapping[str, Any], name: str) -> Iterator[str]:
    ours, theirs = _part(here, "git"), _part(there, "git")
    if ours.get("commit") != theirs.get("commit"):
        yield f"another commit: {_short(ours.get('commit'))} here, {_short(theirs.get('commit'))} in {name}"
    for side, facts in (("here", ours), (f"in {name}", theirs)):
        if facts.get("dirty") and facts.get("commit"):
            yield f"the working tree {side} has changes that no commit holds"
    for file in sorted({*_part(here, "lock"), *_part(there, "lock")}):
        one, two = _part(here, "lock").get(file), _part(there, "lock").get(file)
        if one != two:
            how = f"is only {'here' if two is None else f'in {name}'}" if None in (one, two) else "differs"
            yield f"{file} {how}: other versions may be installed"
    if _shown(ours.get("autocrlf")) != _shown(theirs.get("autocrlf")):
        yield _two("git's core.autocrlf", ours.get("autocrlf"), theirs.get("autocrlf"), name, "line ends may differ")


def _packages(here: Mapping[str, Any], there: Mapping[str, Any], name: str) -> Iterator[str]:
    ours, theirs = _part(here, "packages"), _part(there, "packages")
    for package in sorted({*ours} & {*theirs}):
        if ours[package] != theirs[package]:
            yield f"{package} is {ours[package]} here and {theirs[package]} in {name}"
    for side, have, lack in (("here", ours, theirs), (f"in {name}", theirs, ours)):
        alone = [f"{package} {have[package]}" for package in sorted({*have} - {*lack})]
        if len(alone) <= _EACH:
            yield from (f"{package} is installed {side} only" for package in alone)
        else:
            # Another group of packages, usually: a sentence for each would bury what comes after them.
            yield f"{len(alone)} packages are installed {side} only: {', '.join(alone[:_EACH])} …"


def _python(here: Mapping[str, Any], there: Mapping[str, Any], name: str) -> Iterator[str]:
    one, two = (str(_part(side, "python").get("version", "?")) for side in (here, there))
    if one != two:
        minor = one.split(".")[:2] != two.split(".")[:2]
        yield f"Python is {one} here and {two} in {name}{'' if minor else ' (another patch release)'}"
    elif _part(here, "python").get("build") != _part(there, "python").get("build"):
        yield f"Python {one} comes from another build here than in {name}"
    yield from _each("python", _PYTHON, here, there, name)


def _variables(here: Mapping[str, Any], there: Mapping[str, Any], name: str, known: Collection[str]) -> Iterator[str]:
    ours, theirs = (_part(_part(side, "variables"), "hashed") for side in (here, there))
    interesting = _hashed_names(here, there) | (set(known) & (_names(here) | _names(there)))
    # What the project names itself comes before what steers tools.
    for variable in sorted(interesting, key=lambda each: (each not in known, each)):
        is_here, is_there = variable in _names(here), variable in _names(there)
        if is_here != is_there:
            yield f"{variable} is set {'here' if is_here else f'in {name}'} only"
        elif ours.get(variable) != theirs.get(variable):
            yield f"{variable} has another value here than in {name}"


def _tools(here: Mapping[str, Any], there: Mapping[str, Any], name: str) -> Iterator[str]:
    ours, theirs = _part(here, "tools"), _part(there, "tools")
    for tool in sorted({*ours, *theirs}):
        one, two = ours.get(tool) or "", theirs.get(tool) or ""
        # Its own sentence stands above.
        if one != two and tool != "python":
            yield f"{tool} is {one or 'missing'} here and {two or 'missing'} in {name}"


def _time(here: Mapping[str, Any], there: Mapping[str, Any], name: str) -> Iterator[str]:
    ours, theirs = _part(here, "time"), _part(there, "time")
    if ours.get("offset") != theirs.get("offset"):
        yield _two("the time zone", ours.get("zone"), theirs.get("zone"), name, "dates near midnight differ")


def _each(
    part: str, facts: tuple[tuple[str, str, str], ...], here: Mapping[str, Any], there: Mapping[str, Any], name: str
) -> Iterator[str]:
    ours, theirs = _part(here, part), _part(there, part)
    for key, what, why in facts:
        if _shown(ours.get(key)) != _shown(theirs.get(key)):
            yield _two(what, ours.get(key), theirs.get(key), name, why)


def _two(what: str, one: Any, two: Any, name: str, why: str) -> str:
    return f"{what}: {_shown(one)} here, {_shown(two)} in {name}{f' ({why})' if why else ''}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not set" if value in ("", None) else str(value)


def _short(commit: Any) -> str:
    return str(commit)[:12] if commit else "none"


def _part(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, Mapping) else {}


def _names(side: Mapping[str, Any]) -> set[str]:
    variables = _part(side, "variables")
    named = variables.get("named")
    return {*_part(variables, "hashed"), *(map(str, named) if isinstance(named, list) else ())}


def _hashed_names(*sides: Mapping[str, Any]) -> set[str]:
    return {name for side in sides for name in _part(_part(side, "variables"), "hashed")}
