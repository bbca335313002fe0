"""From act's log, one JSON object a line, to what each step said and took.

A line that is not understood is kept as text: a newer act may log more, and nothing that it says should be lost.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

from handrail.checks.verdict import Finding

State = Literal["passed", "failed", "skipped", "not run"]
LAST_LINES = 40
ANOTHER_MACHINE = "needs another kind of machine"
_STATES: dict[str, State] = {"success": "passed", "failure": "failed", "skipped": "skipped"}


@dataclass
class StepRun:
    """One step of one job: ``seconds`` as act measured them, the last ``lines`` that it wrote."""

    job: str
    name: str
    state: State = "not run"
    seconds: float = 0.0
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    findings: list[Finding] = field(default_factory=list)


@dataclass
class JobRun:
    """One job, or one entry of its matrix: ``name`` says which."""

    id: str
    name: str
    state: State = "not run"
    remark: str = ""
    steps: list[StepRun] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)


def as_text(line: str) -> str:
    """Return one line of act's log for a reader: the job's name, and what was said; as it is where it is no event."""
    try:
        event = json.loads(line)
    except ValueError:
        return line
    if not isinstance(event, dict) or "msg" not in event:
        return line
    message = str(event["msg"]).strip("\r\n")
    return f"{event['job']} | {message}" if "job" in event else message


class Log:
    """All jobs of one run, from the lines of act's log."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobRun] = {}
        self._steps: dict[tuple[str, str], StepRun] = {}
        self.complaints: list[str] = []
        """What act said outside of any job."""

    def feed(self, line: str) -> StepRun | None:
        """Take in one line; return the step that ended with it."""
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            self.complaints.append(line)
            return None
        if "jobID" not in event:
            if event.get("level") in ("error", "fatal"):
                self.complaints.append(str(event.get("msg", "")).strip())
            return None
        job = self._job(event)
        message = str(event.get("msg", "")).rstrip("\n")
        if result := event.get("jobResult"):
            job.state = _STATES.get(str(result), "failed")
        elif "Skipping unsupported platform" in message:
            job.remark = ANOTHER_MACHINE
        if "stepID" not in event:
            if event.get("level") == "error" and not job.steps:
                job.remark = message.split("\n")[0]
            return None
        return self._step_event(job, event, message)

    def _job(self, event: dict[str, Any]) -> JobRun:
        key = str(event.get("job") or event["jobID"])
        if key not in self.jobs:
            matrix = event.get("matrix") or {}
            entry = f" ({', '.join(str(value) for value in matrix.values())})" if matrix else ""
            self.jobs[key] = JobRun(str(event["jobID"]), f"{event['jobID']}{entry}")
        return self.jobs[key]

    def _step_event(self, job: JobRun, event: dict[str, Any], message: str) -> StepRun | None:
        if event.get("stage") != "Main" and not (event.get("stepResult") == "failure" or event.get("level") == "error"):
            return None
        name = str(event.get("step", "")).strip().split("\n")[0]  # a step without a name has its whole script as one
        # The steps of a composite action come under the id of the step that uses it, with a second part of their own.
        first, *inner = event["stepID"]
        key = (str(event.get("job") or event["jobID"]), str(first))
        if key not in self._steps:
            self._steps[key] = StepRun(job.name, name)
            job.steps.append(self._steps[key])
        step = self._steps[key]
        if event.get("command") == "error":
            _take_error(step, event)
        elif event.get("raw_output") or (event.get("level") == "error" and "stepResult" not in event):
            step.lines.extend(message.split("\n"))
        if "stepResult" not in event or inner:
            return None
        step.state = _STATES.get(str(event["stepResult"]), "failed")
        step.seconds += float(event.get("executionTime") or 0) / 1e9
        return step


def _take_error(step: StepRun, event: dict[str, Any]) -> None:
    """Take a step's ``::error::``: a place in a file beside its line, what has none among what it said."""
    pairs = event.get("kvPairs") or {}
    message, file, line = str(event.get("arg", "")), str(pairs.get("file", "")), str(pairs.get("line", ""))
    if file:
        step.findings.append(Finding(message, file, int(line) if line.isdigit() else 0))
    else:
        step.lines.extend(f"error: {message}".split("\n"))
