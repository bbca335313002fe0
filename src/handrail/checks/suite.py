"""``inv test``: pytest in this environment, in parallel, with coverage and its floor.

Coverage is measured, and the floor held, only when the whole suite runs: a part of it says nothing about the
whole, and measuring costs time.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.checks.counts import Counts, read_counts
from handrail.checks.failures import read_failures
from handrail.checks.lint import pyproject_tools
from handrail.checks.verdict import State, Verdict
from handrail.errors import UsageError

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project

REPORTS = ".handrail/reports"
_NOTHING_COLLECTED = 5


@dataclass(frozen=True)
class Selection:
    """Which tests: a kind, or pytest's own words after ``--``."""

    unit: bool = False
    integration: bool = False
    args: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every test runs. Any word for pytest may leave some out, so none are allowed."""
        return not (self.unit or self.integration or self.args)

    @property
    def marker(self) -> str:
        return " or ".join(word for word, wanted in (("unit", self.unit), ("integration", self.integration)) if wanted)


def pytest_argv(root: Path, project: Project, selection: Selection, report: Path) -> list[str]:
    """Return the command that runs ``selection`` and writes its counts to ``report`` (JUnit XML).

    Raises:
        UsageError: pytest, or the plugin that a declared coverage floor needs, is not in this environment; or
            a kind of tests was asked for where another command than pytest runs them.
    """
    if project.checks.test:
        return [*own_command(project, selection, sys.executable), *selection.args]
    require_module("pytest", "pytest")
    # One report is one run; pytest adds to nothing, but a crash would leave the last run's counts.
    argv = [sys.executable, "-m", "pytest", f"--junitxml={report}", *parallel_args()]
    if selection.marker:
        argv += ["-m", selection.marker]
    if selection.is_whole and has_module("pytest_cov"):
        argv += [f"--cov={coverage_package(project)}", "--cov-report=term:skip-covered"]
        if project.checks.coverage_floor:
            argv.append(f"--cov-fail-under={project.checks.coverage_floor:g}")
    elif selection.is_whole and project.checks.coverage_floor:
        require_module("pytest_cov", "pytest-cov")
    return [*argv, *selection.args]


def run_suite(
    root: Path, project: Project, selection: Selection, runner: Runner, stream: Callable[[str], None]
) -> tuple[Verdict, Counts]:
    """Run the tests here; return the verdict and the counts. ``stream`` gets each line of pytest's."""
    report = fresh_report(root, "tests")
    argv = pytest_argv(root, project, selection, report)
    started = time.monotonic()
    result = runner.run(argv, cwd=root, env=variables_for_tests(project), check=False, stream=stream)
    seconds = time.monotonic() - started
    counts = read_counts(report)
    remark = "" if project.checks.test else counts.text
    if result.returncode == _NOTHING_COLLECTED and not project.checks.test:
        remark = "no test fits what was asked for"
    elif result.returncode < 0:
        remark = f"killed by signal {-result.returncode}"
    elif result.returncode and project.checks.test:
        remark = f"exit code {result.returncode}"
    elif result.returncode and not counts.failed:
        remark = f"{counts.text}, and pytest ended with {result.returncode}: see above (coverage floor?)"
    state: State = "failed" if result.returncode else "passed"
    failures = read_failures(report) if result.returncode else ()
    return Verdict("test", state, seconds, _command(selection), remark, findings=failures), counts


def variables_for_tests(project: Project) -> dict[str, str] | None:
    """Return this process's environment over what is declared for tests; None where nothing is declared."""
    return {**project.checks.test_variables, **os.environ} if project.checks.test_variables else None


def own_command(project: Project, selection: Selection, python: str) -> list[str]:
    """Return the declared command that runs the tests, with ``python`` for its first word where that says so.

    Raises:
        UsageError: a kind of tests was asked for: only pytest knows markers.
    """
    if selection.marker:
        raise UsageError(
            f"--unit and --integration choose by pytest's markers, and [tool.handrail.checks] test is "
            f"{project.checks.test!r}",
            next_step="inv test -- WORDS FOR THAT COMMAND",
        )
    words = shlex.split(project.checks.test)
    return [python, *words[1:]] if words[0] in ("python", "python3") else words


def fresh_report(root: Path, name: str) -> Path:
    """Return the path for the report ``name``, without an old one at it."""
    report = root / REPORTS / f"{name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    return report


def parallel_args() -> list[str]:
    """Return pytest's arguments for one worker a core, where pytest-xdist is there to make them."""
    return ["-n", os.environ.get("HANDRAIL_TEST_WORKERS", "auto")] if has_module("xdist") else []


def coverage_package(project: Project) -> str:
    """Return the import name of what coverage measures, and of what the matrix installs."""
    return project.checks.coverage_package or project.app.replace("-", "_")


def has_unit_marker(root: Path) -> bool:
    """Whether the project declares a pytest marker ``unit``, so that ``-m unit`` means something."""
    options = pyproject_tools(root).get("pytest", {}).get("ini_options", {})
    return any(str(line).split(":")[0].strip() == "unit" for line in options.get("markers", []))


def has_module(name: str) -> bool:
    return find_spec(name) is not None


def require_module(module: str, distribution: str) -> None:
    """Raise UsageError, saying how to get it, unless ``module`` can be imported here."""
    if not has_module(module):
        raise UsageError(
            f"{distribution} is not in this environment ({sys.prefix})",
            next_step=f"uv add --dev {distribution}, then inv setup",
        )


def _command(selection: Selection) -> str:
    flags = [f"--{name}" for name in ("unit", "integration") if getattr(selection, name)]
    return shlex.join(["inv", "test", *flags, *(["--", *selection.args] if selection.args else [])])
