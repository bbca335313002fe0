"""The Nox sessions: ``tests`` on every Python of the matrix, ``lint`` and ``typecheck``.

A project's noxfile.py is ``import handrail.sessions`` and ``handrail.sessions.register()``. This is the only
module that imports nox.

A ``tests`` session has an environment of its own, made by uv: exactly the locked packages, by hash, and the
wheel that ``inv build`` made; the source tree is not importable there. Sessions may run at the same time
(``nox -j``): what they share (the wheel, the list of locked packages) is made under a file lock, and what pytest
writes goes to a folder of the session's. No session ever downloads an interpreter.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.checks.matrix import SESSION

if TYPE_CHECKING:
    import nox

    from handrail.config.schema import Project

__all__ = ["register"]

# Run inside the session: the tests must meet the wheel, whatever a conftest or a stray .pth does to sys.path.
_PROOF = (
    "import importlib, pathlib, sys;"
    "place = pathlib.Path(importlib.import_module(sys.argv[1]).__file__).resolve();"
    "inside = pathlib.Path(sys.prefix).resolve() in place.parents;"
    "sys.exit(0 if inside else f'{sys.argv[1]} comes from {place}, not from the wheel')"
)


def register(root: Path | None = None) -> None:
    """Add the sessions to Nox.

    Args:
        root: the project's folder; without it, the nearest one with ``[tool.handrail]``.

    Raises:
        SystemExit: the project's declaration is wrong; shows one line.
    """
    import nox

    from handrail.commands import Runner
    from handrail.config.load import find_root, load_project
    from handrail.errors import HandrailError
    from handrail.pythons import add_to_path, find_pythons

    try:
        root = root or find_root(Path.cwd())
        project = load_project(root)
    except HandrailError as error:
        raise SystemExit(f"noxfile: {error.message}") from None
    # Nox looks on PATH and would meet pyenv's shims there, which refuse; what it finds after them answers.
    os.environ["PATH"] = add_to_path(find_pythons(project.checks.pythons, Runner()), os.environ.get("PATH", ""))
    os.environ["UV_PYTHON_DOWNLOADS"] = "never"
    nox.options.default_venv_backend = "uv"
    nox.options.sessions = [SESSION]

    @nox.session(
        name=SESSION,
        python=project.checks.pythons,
        venv_backend="uv",
        reuse_venv=True,
        download_python="never",
        allow_parallel=True,
    )
    def tests(session: nox.Session) -> None:
        """Run the unit tests against the built wheel; words after -- go to pytest."""
        _tests(session, root, project)

    @nox.session(python=False, allow_parallel=True)
    def lint(session: nox.Session) -> None:
        """Run inv lint."""
        session.run(sys.executable, "-m", "invoke", "lint", *session.posargs, external=True)

    @nox.session(python=False, allow_parallel=True)
    def typecheck(session: nox.Session) -> None:
        """Run inv typecheck."""
        session.run(sys.executable, "-m", "invoke", "typecheck", *session.posargs, external=True)


def _tests(session: nox.Session, root: Path, project: Project) -> None:
    from handrail.checks.suite import Selection, coverage_package, own_command
    from handrail.checks.wheel import session_ingredients
    from handrail.commands import Runner
    from handrail.errors import HandrailError
    from handrail.ui import make_printer

    try:
        found = session_ingredients(root, project, Runner(), make_printer())
    except HandrailError as error:
        session.error(" ".join(filter(None, [error.message, *error.lines[-5:], error.next_step])))
    # Exactly these packages: what an older lock left in a reused environment goes.
    session.run_install("uv", "pip", "sync", "--quiet", "--require-hashes", str(found.requirements))
    if found.unhashed is not None:
        session.install("--quiet", "--no-deps", "-r", str(found.unhashed))
    if found.wheel is not None:
        session.install("--quiet", "--no-deps", str(found.wheel))
        session.run("python", "-I", "-c", _PROOF, coverage_package(project), silent=True)
    if found.plain:
        session.install("--quiet", "-r", str(found.plain))
    if project.checks.test:
        session.run(*own_command(project, Selection(), "python"), *session.posargs, env=_environment(session, project))
        return
    session.run(*_pytest(session, root), env=_environment(session, project))


def _pytest(session: nox.Session, root: Path) -> list[str]:
    from handrail.checks.matrix import session_name
    from handrail.checks.suite import fresh_report, has_unit_marker

    report = fresh_report(root, session_name(str(session.python)))
    argv = ["python", "-m", "pytest", f"--junitxml={report}", "-p", "no:cacheprovider"]
    if _has_xdist(session):
        argv += ["-n", os.environ.get("HANDRAIL_TEST_WORKERS", "auto")]
    if not session.posargs and has_unit_marker(root):
        argv += ["-m", "unit"]
    return [*argv, *session.posargs]


def _has_xdist(session: nox.Session) -> bool:
    library = Path(session.virtualenv.location) / "lib"
    return any(library.glob("python*/site-packages/xdist"))


def _environment(session: nox.Session, project: Project) -> dict[str, str | None]:
    own = Path(session.virtualenv.location) / "handrail"
    return {
        **{name: value for name, value in project.checks.test_variables.items() if name not in os.environ},
        "PYTHONPATH": None,
        "HYPOTHESIS_STORAGE_DIRECTORY": str(own / "hypothesis"),
        "COVERAGE_FILE": str(own / "coverage"),
    }
