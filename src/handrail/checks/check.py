"""``inv check``: everything that CI runs, in CI's order, ending in one table and one record.

Lint, types, further checks and the build do not depend on each other and run at the same time; then come the
tests here with coverage, and the built wheel on every Python of the matrix. A red part does not stop the others.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.checks.matrix import run_matrix
from handrail.checks.record import CheckRecord
from handrail.checks.suite import Selection, run_suite
from handrail.checks.tools import ToolCheck, joined, output_lines
from handrail.checks.verdict import Verdict
from handrail.errors import HandrailError

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project
    from handrail.ui import Printer

ORDER = ("lint", "typecheck", "build", "test")
"""CI's order; the workflow file is tested against it."""


@dataclass(frozen=True)
class CheckOutcome:
    """All verdicts, and the record that was made of them."""

    verdicts: list[Verdict]
    record: CheckRecord


def run_check(root: Path, project: Project, runner: Runner, printer: Printer) -> CheckOutcome:
    """Run every check; return all verdicts in order, and the record (which the caller writes).

    Raises:
        TaskFailedError: git could not be asked. A failed check is a verdict, not an error.
    """
    from handrail.build.git import read_git
    from handrail.checks.report import show

    started = _now()
    before = read_git(root, runner, untracked=True, required=False)
    bundles: list[str] = []
    verdicts: list[Verdict] = []
    for verdict in _run_together(_independent(root, project, runner, printer, bundles)):
        show(verdict, printer)
        verdicts.append(verdict)
    with printer.section("tests"):
        suite = _timed("test", lambda: run_suite(root, project, Selection(), runner, printer.output)[0])
    show(suite, printer)
    matrix = _matrix(root, project, runner, printer)
    for verdict in matrix:
        show(verdict, printer)
    verdicts += [suite, *matrix]
    after = read_git(root, runner, untracked=True, required=False)
    record = CheckRecord(
        commit=before.commit,
        # A tree that changed under the tests was not tested.
        dirty=before.dirty or after.dirty or after.commit != before.commit,
        bundles=list(dict.fromkeys(bundles)),
        verdicts=[{"name": v.name, "state": v.state, "seconds": round(v.seconds, 2)} for v in verdicts],
        pythons={v.name.removeprefix("test "): v.state for v in matrix},
        started=started,
        finished=_now(),
    )
    return CheckOutcome(verdicts, record)


def bundle_pythons(project: Project) -> list[str]:
    """Return each Python that an environment's bundle is built for; ``""`` is the build's own."""
    return list(dict.fromkeys(each.python for each in project.environments.values())) or [""]


def _independent(
    root: Path, project: Project, runner: Runner, printer: Printer, bundles: list[str]
) -> list[tuple[str, Callable[[], Verdict]]]:
    from handrail.checks.lint import run_lint
    from handrail.checks.typecheck import run_typecheck

    def lint() -> Verdict:
        return joined("lint", run_lint(root, project, runner), "inv lint")

    def typecheck() -> Verdict:
        return replace(run_typecheck(root, runner, project.checks), command="inv typecheck")

    def build() -> Verdict:
        digests = build_all(root, project, runner, printer)
        bundles.extend(digests)
        return Verdict("build", "passed", command="inv build", remark=", ".join(d[:12] for d in digests))

    parts: list[tuple[str, Callable[[], Verdict]]] = [("lint", lint)]
    if project.checks.types != "off":
        parts.append(("typecheck", typecheck))
    for name, command in project.checks.extra.items():
        parts.append((name, lambda name=name, command=command: run_extra(name, command, root, runner)))  # type: ignore[misc]
    return [*parts, ("build", build)]


def build_all(root: Path, project: Project, runner: Runner, printer: Printer) -> list[str]:
    """Build the bundles of all environments as ``inv build`` does; return their digests."""
    from handrail.build.bundle import build_bundle

    return [
        build_bundle(project, root, python=python, run=runner, printer=printer).digest
        for python in bundle_pythons(project)
    ]


def run_extra(name: str, command: str, root: Path, runner: Runner) -> Verdict:
    """Return the verdict of a declared further check: a command line without shell operators."""
    argv = shlex.split(command)
    result = runner.run(argv, cwd=root, check=False)
    if result.returncode == 0:
        return Verdict(name, "passed", command=command)
    check = ToolCheck(name, argv[0], tuple(argv[1:]))
    return Verdict(
        name,
        "failed",
        command=check.command,
        remark=f"exit code {result.returncode}",
        lines=output_lines(result.stdout, result.stderr),
    )


def _matrix(root: Path, project: Project, runner: Runner, printer: Printer) -> list[Verdict]:
    versions = project.checks.pythons
    if not versions:
        # What ends it would be red for none.
        return []
    try:
        with printer.section("tests on every Python, against the wheel"):
            return run_matrix(root, versions, runner, printer.output, counted=not project.checks.test)[0]
    except HandrailError as error:
        red = [_red(f"test {version}", error, 0.0, f"inv test --python {version}") for version in versions]
        # What ended all of them is told once.
        return [*red[:1], *(replace(verdict, lines=()) for verdict in red[1:])]


def _run_together(parts: list[tuple[str, Callable[[], Verdict]]]) -> list[Verdict]:
    with ThreadPoolExecutor(max_workers=len(parts)) as pool:
        return list(pool.map(lambda part: _timed(*part), parts))


def _timed(name: str, part: Callable[[], Verdict]) -> Verdict:
    started = time.monotonic()
    try:
        verdict = part()
    except HandrailError as error:
        return _red(name, error, time.monotonic() - started, f"inv {name}")
    return replace(verdict, seconds=time.monotonic() - started)


def _red(name: str, error: HandrailError, seconds: float, command: str) -> Verdict:
    """Return an error as a verdict: one red part must not hide what the others say."""
    lines = (error.message, *error.lines, *([error.next_step] if error.next_step else []))
    return Verdict(name, "failed", seconds, error.command or command, error.message, lines)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
