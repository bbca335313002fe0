"""The line that runs a failed task again, on a laptop and in CI."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

_DEPLOYING = frozenset({"deploy", "promote", "rollback"})
_DEPLOYS = re.compile(r"\binv(?:oke)?\s+(?:deploy|promote|rollback)(?![\w.-])")


def laptop_line(argv: Sequence[str]) -> str:
    """Return the command line ``argv`` as one would type it."""
    return shlex.join([typed_program(argv), *argv[1:]])


def planned_line(argv: Sequence[str]) -> str:
    """Return the command line that does what the plan of ``argv`` shows."""
    return laptop_line([word for word in argv if word not in ("--plan", "--json")])


def typed_program(argv: Sequence[str]) -> str:
    """Return what one types: ``inv``, or ``handrail`` where there may be no inv yet."""
    return "handrail" if argv and Path(argv[0]).name == "handrail" else "inv"


def as_typed(line: str, argv: Sequence[str]) -> str:
    """Return a command line of ``inv`` for the program that is running."""
    return re.sub(r"\Ainv(?= )", typed_program(argv), line)


def ci_line(task: str, argv: Sequence[str], folder: Path, environ: Mapping[str, str]) -> str:
    """Return the line that runs ``task`` again in GitHub Actions, or ``""`` when no workflow runs it.

    In a run it is that run; on a laptop it is the workflow under ``folder`` that has a step with the task
    and can be started by hand, with the environment where the workflow has an input for it.
    """
    if environ.get("ACT") == "true":
        return ""  # `inv ci`: there is no run at GitHub
    if environ.get("GITHUB_ACTIONS") == "true" and environ.get("GITHUB_RUN_ID"):
        repository = environ.get("GITHUB_REPOSITORY")
        return f"gh run rerun {environ['GITHUB_RUN_ID']} --failed" + (f" --repo {repository}" if repository else "")
    step = re.compile(rf"\binv(?:oke)?\s+{re.escape(task)}(?![\w.-])")
    for path in sorted((folder / ".github" / "workflows").glob("*.y*ml")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:  # the line is a help beside a failure, and must not become another one
            continue
        # Nobody deploys in order to see a check again.
        if not step.search(text) or (task not in _DEPLOYING and _DEPLOYS.search(text)):
            continue
        if "workflow_dispatch" not in text:
            return "gh run rerun --failed"
        field = re.search(r"^\s+(environment|env):\s*$", text, re.MULTILINE)
        environment = _option(argv, "--env", "-e")
        inputs = f" -f {field[1]}={shlex.quote(environment)}" if field and environment else ""
        return f"gh workflow run {path.name}{inputs}"
    return ""


def _option(argv: Sequence[str], *names: str) -> str:
    for index, word in enumerate(argv):
        if word in names and index + 1 < len(argv):
            return argv[index + 1]
        for name in names:
            if word.startswith(f"{name}="):
                return word[len(name) + 1 :]
    return ""
