"""Running the checking tools of the project's own locked environment, never whatever is on PATH."""

from __future__ import annotations

import os
import shlex
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.checks.findings import parse_findings
from handrail.checks.verdict import Verdict

if TYPE_CHECKING:
    from handrail.commands import Runner


@dataclass(frozen=True)
class ToolCheck:
    """One tool with its arguments; ``tool`` is the name of a script in the environment."""

    name: str
    tool: str
    args: tuple[str, ...] = ()
    distribution: str = ""
    """Where the script's name is not that of the package on PyPI."""

    @property
    def command(self) -> str:
        return shlex.join([self.tool, *self.args])


def find_tool(name: str) -> Path | None:
    """Return the script ``name`` of the environment that runs this task, or None."""
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        script = folder / name
        if script.is_file() and os.access(script, os.X_OK):
            return script
    return None


def run_tool(check: ToolCheck, root: Path, runner: Runner) -> Verdict:
    """Return the verdict of one tool. A tool that is not there has failed, and says how to get it."""
    script = find_tool(check.tool)
    if script is None:
        package = check.distribution or check.tool
        remark = f"{check.tool} is not in the environment: uv add --dev {package}, then inv setup"
        return Verdict(check.name, "failed", command=check.command, remark=remark, lines=(remark,))
    started = time.monotonic()
    result = runner.run([str(script), *check.args], cwd=root, check=False)
    seconds = time.monotonic() - started
    if result.returncode == 0:
        return Verdict(check.name, "passed", seconds, check.command)
    lines = output_lines(result.stdout, result.stderr)
    found = parse_findings(lines)
    return Verdict(check.name, "failed", seconds, check.command, _remark(result.returncode, len(found)), lines, found)


def output_lines(*texts: str) -> tuple[str, ...]:
    """Return the lines of ``texts`` without trailing space and without blank lines at either end."""
    lines = [line.rstrip() for text in texts for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return tuple(lines)


def _remark(returncode: int, findings: int) -> str:
    if findings:
        return "1 finding" if findings == 1 else f"{findings} findings"
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"


def joined(name: str, verdicts: Sequence[Verdict], command: str) -> Verdict:
    """Return one verdict that stands for several: red when any is, with all their lines; else with what they note."""
    red = [verdict for verdict in verdicts if not verdict.is_green]
    red = red or [verdict for verdict in verdicts if verdict.findings]
    return Verdict(
        name,
        "passed" if all(verdict.is_green for verdict in verdicts) else "failed",
        sum(verdict.seconds for verdict in verdicts),
        command,
        ", ".join(f"{verdict.name}: {verdict.remark}" for verdict in red),
        tuple(line for verdict in red for line in (f"$ {verdict.command}", *verdict.lines)),
        tuple(finding for verdict in red for finding in verdict.findings),
    )
