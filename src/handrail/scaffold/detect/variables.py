"""The variables that the program reads: the first draft of the contract."""

from __future__ import annotations

import re

from handrail.config.contract import TYPES
from handrail.config.reads import Read, is_secret_name, is_system_name, scan
from handrail.config.reads.model import is_required
from handrail.scaffold.detect.sources import Sources
from handrail.scaffold.facts import CodeVariable

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A server or Handrail itself sets them, or Django's own files do.
_GIVEN = re.compile(r"PORT|DJANGO_SETTINGS_MODULE|RUN_MAIN|(?:HANDRAIL|WERKZEUG|READTHEDOCS|PYENV)\w*")
_BY_NAME = (
    (re.compile(r"(?:_|^)PORT$"), "port"),
    (re.compile(r"(?:_|^)(?:URL|URI)$"), "url"),
    (re.compile(r"(?:_|^)HOST$"), "host"),
    (re.compile(r"(?:_|^)EMAIL$"), "email"),
    (re.compile(r"(?:_|^)(?:PATH|DIR|FILE|FOLDER|ROOT)$"), "path"),
    (re.compile(r"(?:^|_)(?:DEBUG|ENABLED?|DISABLED?|VERBOSE)$|^(?:USE|ENABLE|DISABLE|IS|HAS)_"), "bool"),
)


def find_variables(sources: Sources) -> tuple[CodeVariable, ...]:
    """Return every variable that the program reads, by name; the machine's own (PATH, HOME) are left out."""
    found = []
    for name, reads in scan(sources.root).by_name().items():
        own = [read for read in reads if not sources.is_beside(read.file)]
        if own and _NAME.fullmatch(name) and not is_system_name(name) and not _GIVEN.fullmatch(name):
            found.append(_variable(name, own))
    return tuple(found)


def _variable(name: str, reads: list[Read]) -> CodeVariable:
    text = next((read.default for read in reads if read.default is not None), "")
    said = next((read for read in reads if read.type), None)
    choices = said.choices if said else ()
    kind = f"choice({'|'.join(choices)})" if choices else said.type if said and said.type in TYPES else ""
    kind, default = guess_type(name, text, kind)
    secret = any(read.is_secret for read in reads) or (kind not in ("bool", "int", "port") and is_secret_name(name))
    return CodeVariable(
        name,
        kind,
        "" if secret else default,
        has_default=not is_required(reads),
        secret=secret,
        file=reads[0].file,
        line=reads[0].line,
    )


def guess_type(name: str, default: str, kind: str = "") -> tuple[str, str]:
    """Return a type of the contract that fits, and the default in the contract's words.

    Args:
        kind: what the code itself says; empty: nothing.
    """
    if "\n" in default or "${" in default:
        default = ""
    if kind.startswith("choice("):
        return kind, default if default in kind[7:-1].split("|") else ""
    kind = kind or next((kind for pattern, kind in _BY_NAME if pattern.search(name)), "")
    if not kind and default in ("True", "False", "true", "false"):
        kind = "bool"
    if not kind and re.fullmatch(r"-?\d{1,18}", default):
        kind = "int"
    kind = kind or "string"
    if default and not TYPES[kind][1](default):
        return "string", default
    return kind, default.lower() if kind == "bool" else default
