"""Who owns which file: ``.handrail.lock.toml``, in git, one table a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

from handrail.config.load import parse_toml, read_text
from handrail.errors import ConfigError
from handrail.scaffold.write.drafts import Owner

FILE = ".handrail.lock.toml"
_HEAD = """\
# What `handrail init` wrote, and whose it is by now. Commit this file.
#   managed: Handrail's; `handrail init --update` writes it again unless you changed it
#   block:   the lines between two marks are Handrail's, the rest of the file is yours
#   seeded:  written once, yours from then on
#   yours:   never touched; write it here to keep a managed file for good
"""


@dataclass(frozen=True)
class Record:
    """One file; ``digest`` is that of what was written last, of the block alone where there is one."""

    owner: Owner
    digest: str = ""


@dataclass(frozen=True)
class Ledger:
    """All files by path, what was chosen, and the version of Handrail that wrote last; empty before the first time."""

    version: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Record] = field(default_factory=dict)


def read_ledger(root: Path) -> Ledger:
    """Return the ledger of ``root``; an empty one where there is none.

    Raises:
        ConfigError: it is not what `handrail init` writes (a merge conflict, say).
    """
    if not (root / FILE).is_file():
        return Ledger()
    try:
        document = parse_toml(read_text(root, FILE))
    except ValueError as error:
        raise ConfigError(
            f"{FILE}: {error}", next_step=f"mend it, or take the one of git: git checkout {FILE}"
        ) from None
    files = {}
    for path, table in _table(document, "files").items():
        owner = table.get("owner") if isinstance(table, dict) else None
        if owner not in get_args(Owner):
            raise ConfigError(f"{FILE}: owner of {path!r} is {owner!r}, expected one of {', '.join(get_args(Owner))}")
        files[path] = Record(cast(Owner, owner), str(table.get("digest", "")))
    choices = {key: str(value) for key, value in _table(document, "choices").items()}
    return Ledger(str(document.get("version", "")), choices, files)


def ledger_text(ledger: Ledger) -> str:
    """Return the file's text."""
    parts = [_HEAD, f"version = {json.dumps(ledger.version)}\n", "\n[choices]\n"]
    parts += [f"{key} = {json.dumps(value)}\n" for key, value in sorted(ledger.choices.items())]
    for path, record in sorted(ledger.files.items()):
        parts.append(f"\n[files.{json.dumps(path)}]\nowner = {json.dumps(record.owner)}\n")
        if record.digest:
            parts.append(f"digest = {json.dumps(record.digest)}\n")
    return "".join(parts)


def digest_of(text: str) -> str:
    """Return a text's digest as the ledger has it."""
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()}"


def _table(document: Mapping[str, object], key: str) -> dict[str, dict[str, object]]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}
