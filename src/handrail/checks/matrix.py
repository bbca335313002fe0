"""``inv test --python/--all``: the Nox sessions ``tests-<version>``, and what their report says.

The sessions themselves are in `handrail.sessions`; here is what stands around them: which interpreters this
machine has, how many sessions run at a time, and the verdict for each Python. An interpreter that is not there
gives ``not run``, and ``failed`` where ``CI`` is set.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.checks.counts import Counts, read_counts, total
from handrail.checks.failures import read_failures
from handrail.checks.suite import REPORTS, fresh_report, require_module
from handrail.checks.verdict import State, Verdict
from handrail.errors import UsageError, did_you_mean
from handrail.pythons import find_pythons, how_to_get

if TYPE_CHECKING:
    from handrail.commands import Runner

SESSION = "tests"


def session_name(version: str) -> str:
    """Return the Nox session that tests ``version``."""
    return f"{SESSION}-{version}"


def choose_versions(declared: Sequence[str], python: str) -> list[str]:
    """Return the versions to test: the one asked for, or all that are declared.

    Raises:
        UsageError: ``python`` is not in the matrix.
    """
    if not python:
        return list(declared)
    if python not in declared:
        raise UsageError(
            f"--python is {python!r}, which is not in the matrix{did_you_mean(python, declared)}",
            next_step="[tool.handrail.checks] pythons in pyproject.toml is the matrix",
        )
    return [python]


def nox_argv(versions: Sequence[str], jobs: int, report: Path, args: Sequence[str]) -> list[str]:
    """Return the command that runs the sessions of ``versions``, ``jobs`` at a time."""
    return [
        sys.executable, "-m", "nox", "--nocolor", "-j", str(jobs), "--report", str(report),
        "-s", *map(session_name, versions), *(["--", *args] if args else []),
    ]  # fmt: skip


def run_matrix(
    root: Path,
    versions: Sequence[str],
    runner: Runner,
    stream: Callable[[str], None],
    args: Sequence[str] = (),
    *,
    counted: bool = True,
) -> tuple[list[Verdict], Counts]:
    """Test the project's wheel on each of ``versions``; return a verdict for each, and all counts.

    Args:
        counted: pytest reports how many tests ran; a command of the project's own does not.
    """
    require_module("nox", "nox")
    if not (root / "noxfile.py").is_file():
        raise UsageError(
            "there is no noxfile.py, and the matrix runs in Nox sessions",
            next_step="write noxfile.py: import handrail.sessions, then handrail.sessions.register()",
        )
    found = [version for version in versions if version in find_pythons(versions, runner)]
    for version in versions:
        fresh_report(root, session_name(version))
    states: dict[str, tuple[State, float, str]] = {}
    if found:
        states = _run_nox(root, found, runner, stream, args)
    counts = {version: read_counts(root / REPORTS / f"{session_name(version)}.xml") for version in found}
    verdicts = []
    for version in versions:
        state, seconds, remark = states.get(version) or absent(version)
        if counted and state == "passed" and not counts[version].passed:
            state, remark = "failed", "no test ran"
        elif counted and state == "failed" and version in counts and not remark and counts[version] == Counts():
            remark = "the session ended before its tests: see above"
        verdicts.append(
            Verdict(
                f"test {version}",
                state,
                seconds,
                f"inv test --python {version}",
                remark or (counts[version].text if counted and version in counts else ""),
                findings=read_failures(root / REPORTS / f"{session_name(version)}.xml") if state == "failed" else (),
            )
        )
    return verdicts, total(counts.values())


def absent(version: str) -> tuple[State, float, str]:
    """Return what a missing interpreter counts as."""
    state: State = "failed" if in_ci() else "not run"
    return state, 0.0, f"Python {version} is not installed: {how_to_get(version)}"


def in_ci() -> bool:
    """Whether this runs in CI, by the variable that all of them set."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def _run_nox(
    root: Path, versions: Sequence[str], runner: Runner, stream: Callable[[str], None], args: Sequence[str]
) -> dict[str, tuple[State, float, str]]:
    cores = os.cpu_count() or 1
    jobs = max(1, min(cores, len(versions)))
    report = root / REPORTS / "nox.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    # Sessions share the cores, so each starts its part of the workers.
    env = {**os.environ, "HANDRAIL_TEST_WORKERS": str(max(1, cores // jobs)), "PYTHONUNBUFFERED": "1"}
    started = time.monotonic()
    result = runner.run(nox_argv(versions, jobs, report, args), cwd=root, env=env, check=False, stream=stream)
    seconds = time.monotonic() - started
    states = read_report(report)
    if not states:
        ended = f"nox ended with {result.returncode} and no report"
        return dict.fromkeys(versions, ("failed", seconds, ended))
    return {version: states.get(version, ("failed", 0.0, "nox did not run it")) for version in versions}


def read_report(report: Path) -> dict[str, tuple[State, float, str]]:
    """Return state, seconds and remark for each version in a Nox report; empty without a readable one."""
    try:
        sessions = json.loads(report.read_text("utf-8"))["sessions"]
    except (OSError, ValueError, KeyError):
        return {}
    states: dict[str, tuple[State, float, str]] = {}
    for session in sessions:
        result = str(session.get("result", "")).lower()
        # Only a success is a pass: Nox counts a skipped session among the good ones.
        state: State = "passed" if result == "success" else "not run" if result == "skipped" else "failed"
        remark = "" if state == "passed" else str(session.get("reason") or "")
        for signature in session.get("signatures", []):
            if signature.startswith(f"{SESSION}-"):
                states[signature[len(SESSION) + 1 :]] = (state, float(session.get("duration") or 0.0), remark)
    return states
