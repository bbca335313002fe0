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

_LOCK = "uv.lock"


def look_at_project(root: Path, project: Project, runner: Runner) -> list[Diagnosis]:
    """Return the findings."""
    return [
        *_git(root, runner),
        *_environment(root, project, runner),
        *_hooks(root, runner),
        *_dotenv(root, runner),
        *_secrets(root, runner),
    ]


def _git(root: Path, runner: Runner) -> Iterator[Diagnosis]:
    """Yield why git refuses the folder: what asks it afterwards would find nothing wrong."""
    try:
        result = runner.run(["git", "rev-parse", "--git-dir"], cwd=root, check=False)
    except HandrailError:
        return  # no git, which the machine's part says
    if result.returncode:
        said = result.stderr.strip().splitlines() or ["git says nothing"]
        advice = next((line.strip() for line in said if line.strip().startswith("git config")), "")
        yield Diagnosis(
            "git-refused",
            "error",
            f"git does not work here: {said[0].removeprefix('fatal: ')}",
            mend=advice or "git init, or go to the repository's own folder",
        )


def _environment(root: Path, project: Project, runner: Runner) -> Iterator[Diagnosis]:
    from handrail.build.development import is_locked_by_uv
    from handrail.config.load import FILE
    from handrail.setup.environment import environment_commands, environment_place, is_usable

    place = environment_place()
    if not is_usable(root / place):
        lacks = f"{place} has no interpreter any more" if (root / place).is_dir() else f"there is no {place}"
        yield Diagnosis(
            "environment-missing", "warning", f"{lacks}: the tasks run in another environment", mend="inv setup"
        )
        return
    if Path(sys.prefix).resolve() != (root / place).resolve():
        yield Diagnosis(
            "environment-foreign",
            "warning",
            f"inv runs in {sys.prefix} and not in the project's {place}: its tools may be of other versions",
            mend=f". {place}/bin/activate",
        )
    if not (root / "uv.lock").is_file():
        if is_locked_by_uv(root):
            yield Diagnosis(
                "lock-missing",
                "warning",
                "there is no uv.lock: each machine gets what is newest, and inv test --all has nothing to install",
                FILE,
                mend="uv lock, then commit uv.lock",
            )
        return
    try:
        # What is locked comes first; a plain tree also has what its requirements file names.
        sync, *beside = environment_commands(root, project)
        changed = _changed_by([*sync, "--check"], root, runner)
        for argv in beside:
            changed += _changed_by([*argv, "--dry-run"], root, runner)
    except HandrailError:
        return  # no uv, which the machine's part says
    if _LOCK in changed:
        yield Diagnosis("lock-stale", "error", "uv.lock does not fit pyproject.toml", "uv.lock", mend="uv lock")
    elif changed:
        yield Diagnosis(
            "environment-stale",
            "warning",
            f"{place} is not what is locked (it differs in {', '.join(list(dict.fromkeys(changed))[:5])})",
            # No repair: it also takes away what somebody has installed by hand.
            mend="inv setup",
        )


def _changed_by(argv: list[str], root: Path, runner: Runner) -> list[str]:
    """Return the packages that a command of uv would change; `_LOCK` where it wants another lock first."""
    from handrail.setup.environment import environment_variables

    shown = [word for word in argv if word != "--quiet"]
    result = runner.run([*shown, "--offline"], cwd=root, env=environment_variables(), check=False)
    if result.returncode and "lockfile" in result.stderr.lower():
        return [_LOCK]
    marks = (" + ", " - ", " ~ ")
    return [line.split()[1].partition("==")[0] for line in result.stderr.splitlines() if line.startswith(marks)]


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

    yield from _tracked("dotenv-tracked", root, ".env", runner)
    if not is_ignored(root, runner):
        yield Diagnosis(
            "dotenv-not-ignored",
            "error",
            ".env is for secrets, and git does not ignore it",
            ".env",
            mend="add a line .env to .gitignore",
            repair=Addition(".gitignore", ".env"),
        )


def _tracked(code: str, root: Path, name: str, runner: Runner) -> Iterator[Diagnosis]:
    from handrail.setup.dotenv_file import is_tracked

    if is_tracked(root, runner, name):
        yield Diagnosis(
            code,
            "error",
            f"{name} is for secrets, and git has it: whoever has the repository has them",
            name,
            # No repair: what is in the history is known, so somebody has to change the secrets as well.
            mend=f"git rm --cached {name}, commit that, and change each secret that was in it",
        )


def _secrets(root: Path, runner: Runner) -> Iterator[Diagnosis]:
    from handrail.setup.dotenv_file import is_ignored

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
        yield from _tracked("secrets-tracked", root, name, runner)
        if not is_ignored(root, runner, name):
            yield Diagnosis(
                "secrets-not-ignored",
                "error",
                f"git does not ignore {name}: the next git add -A commits it",
                name,
                mend="add a line env/*.secrets.env to .gitignore",
                repair=Addition(".gitignore", "env/*.secrets.env"),
            )
