"""``.env`` for development, made once from the contract ``env/example.env`` and never overwritten."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.config.contract import FILE, load_contract
from handrail.config.envfile import read_entries
from handrail.config.load import read_text

if TYPE_CHECKING:
    from handrail.commands import Runner

_HEADER = f"# Your own values for development, made from {FILE}. Not in git.\n\n"


def is_ignored(root: Path, runner: Runner, name: str = ".env") -> bool:
    """Return whether a rule of git's leaves the file alone; also true where there is no such file, or no git."""
    if not (root / name).is_file():
        return True
    # Without --no-index a tracked file counts as not ignored, whatever the rules are.
    argv = ["git", "check-ignore", "--no-index", "--quiet", name]
    return runner.run(argv, cwd=root, check=False).returncode != 1


def is_tracked(root: Path, runner: Runner, name: str = ".env") -> bool:
    """Return whether the file is here and git has it; no rule keeps it out of commits then."""
    return (root / name).is_file() and bool(runner.run(["git", "ls-files", "--", name], cwd=root, check=False).stdout)


def make_dotenv(root: Path) -> str:
    """Make ``.env`` (0600) where there is none; return what to say about it.

    An existing one is left as it is; what the contract names and it lacks is said.

    Raises:
        ConfigError: the contract, or an existing ``.env``, has a syntax error (names file and line).
    """
    contract = load_contract(root)
    if not contract.variables:
        what = f"{FILE} names no variable" if (root / FILE).is_file() else f"no {FILE}"
        return f"{what}, so no .env"
    path = root / ".env"
    text = _HEADER + read_text(root, FILE)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        known = {entry.name for entry in read_entries(root, ".env")}
        lacking = [name for name in contract.variables if name not in known]
        return f"kept as it is; {FILE} also has {', '.join(lacking)}" if lacking else "kept as it is"
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except BaseException:
        path.unlink()  # half of it would be kept as it is from then on
        raise
    return f"made from {FILE}; fill in what is empty"
