"""The project on this machine: its environment, hooks, and what git must not see."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.diagnosis import Addition, Command, Diagnosis, ModeChange
from handrail.errors import HandrailError

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project


def look_at_project(root: Path, project: Project, runner: Runner) -> list[Diagnosis]:
    """Return the findings."""
    return [
        *_environment(root, project, runner),
        *_hooks(root, runner),
        *_dotenv(root, runner),
        *_secrets(root, runner),
    ]


def _environment(root: Path, project: Project, runner: Runner) -> Iterator[Diagnosis]:
    from handrail.setup.environment import environment_commands, environment_variables

    if not (root / ".venv" / "pyvenv.cfg").is_file():
        yield Diagnosis(
            "environment-missing",
            "warning",
            "there is no .venv: the tasks run in another environment",
            mend="inv setup",
        )
        return
    if Path(sys.prefix).resolve() != (root / ".venv").resolve():
        yield Diagnosis(
            "environment-foreign",
            "warning",
            f"inv runs in {sys.prefix} and not in the project's .venv: its tools may be of other versions",
            mend=". .venv/bin/activate",
        )
    if not (root / "uv.lock").is_file():
        return
    try:
        (sync,) = environment_commands(root, project)
        quiet = [word for word in sync if word != "--quiet"]
        result = runner.run([*quiet, "--check", "--offline"], cwd=root, env=environment_variables(), check=False)
    except HandrailError:
        return  # no uv, which the machine's part says
    said = result.stderr.lower()
    if result.returncode == 0 or ("outdated" not in said and "lockfile" not in said):
        return
    if "lockfile" in said:
        yield Diagnosis("lock-stale", "error", "uv.lock does not fit pyproject.toml", "uv.lock", mend="uv lock")
        return
    changed = [line.split()[1].partition("==")[0] for line in result.stderr.splitlines() if line[:3] in (" + ", " - ")]
    names = ", ".join(list(dict.fromkeys(changed))[:5])
    yield Diagnosis(
        "environment-stale",
        "warning",
        f".venv is not what uv.lock says{f' (it differs in {names})' if names else ''}",
        # No repair: it also takes away what somebody has installed by hand.
        mend="inv setup",
    )


def _hooks(root: Path, runner: Runner) -> Iterator[Diagnosis]:
    from handrail.checks.matrix import in_ci
    from handrail.setup.git_hooks import CONFIG, hooks_command

    if not in_ci() and (argv := hooks_command(root, runner)):
        yield Diagnosis(
            "hooks-not-installed",
            "warning",
            "the hooks are declared and not installed: commits are not checked",
            CONFIG,
            mend="inv setup",
            repair=Command(tuple(argv)),
        )


def _dotenv(root: Path, runner: Runner) -> Iterator[Diagnosis]:
    from handrail.setup.dotenv_file import is_ignored

    if not is_ignored(root, runner):
        yield Diagnosis(
            "dotenv-not-ignored",
            "error",
            ".env is for secrets, and git does not ignore it",
            ".env",
            mend="add a line .env to .gitignore",
            repair=Addition(".gitignore", ".env"),
        )


def _secrets(root: Path, runner: Runner) -> Iterator[Diagnosis]:
    for path in sorted((root / "env").glob("*.secrets.env")):
        name = path.relative_to(root).as_posix()
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            yield Diagnosis(
                "secrets-readable",
                "error",
                f"{name} can be read by others (mode {mode:04o})",
                name,
                mend=f"chmod 600 {name}",
                repair=ModeChange(name, 0o600),
            )
        ignored = runner.run(["git", "check-ignore", "--quiet", name], cwd=root, check=False)
        if ignored.returncode == 1:
            yield Diagnosis(
                "secrets-not-ignored",
                "error",
                f"git does not ignore {name}: the next git add -A commits it",
                name,
                mend="add a line env/*.secrets.env to .gitignore",
                repair=Addition(".gitignore", "env/*.secrets.env"),
            )
