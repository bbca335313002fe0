"""``inv ci``: choose jobs, see that all is there, run them, say what each step did."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.checks.report import require_green_verdicts
from handrail.checks.verdict import Verdict
from handrail.ci.act import TRACKING, act_argv, find_act, job_environment, labels_here, with_patient_shell
from handrail.ci.actions import fill, mirror_folder, missing, needs_node, remote_actions, with_nested
from handrail.ci.artifacts import free_port, keep, relay, variables_for_uploads
from handrail.ci.events import ANOTHER_MACHINE, JobRun, Log, StepRun, as_text
from handrail.ci.workflows import event_of, read_workflows, with_needs
from handrail.errors import ConfigError, PreflightError, TaskFailedError, UsageError, did_you_mean
from handrail.parity.workflows import FOLDER, Job, Workflow
from handrail.processes import end_marked

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.ui import Printer

# What shows a pinned action's version no better than its first seven digits do.
_COMMIT = re.compile(r"(?<=@[0-9a-f]{7})[0-9a-f]{33}\b")
_LONGEST_NAME = 60


@dataclass(frozen=True)
class Chosen:
    """A workflow and the one job of it that was asked for; ``""``: all."""

    workflow: Workflow
    job: str = ""

    @property
    def jobs(self) -> list[Job]:
        return with_needs(self.workflow, self.job) if self.job else list(self.workflow.jobs.values())


def choose(root: Path, job: str, file: str) -> list[Chosen]:
    """Return what to run: ``job``, or every job that a push or a pull request starts.

    Args:
        file: the name of one workflow file; only with it does one that is started in another way run.

    Raises:
        UsageError: there is no such job or file, or the job is in several files.
        ConfigError: a workflow cannot be read, or there is none.
    """
    workflows = read_workflows(root)
    if not workflows:
        raise ConfigError(f"there is no workflow in {FOLDER}")
    candidates = _called(workflows, file) if file else [each for each in workflows if event_of(each)]
    if not job:
        return [Chosen(each) for each in candidates]
    having = [each for each in candidates if job in each.jobs]
    if not having:
        elsewhere = [each.file for each in workflows if job in each.jobs]
        if elsewhere:
            name = Path(elsewhere[0]).name
            raise UsageError(
                f"job {job!r} stands in {elsewhere[0]}, which no push and no pull request starts",
                next_step=f"read it; if it may run on this machine: inv ci {job} --workflow {name}",
            )
        raise UsageError(
            f"no job is called {job!r}{did_you_mean(job, {name for each in candidates for name in each.jobs})}"
        )
    if len(having) > 1:
        names_text = ", ".join(Path(each.file).name for each in having)
        raise UsageError(f"job {job!r} stands in {names_text}", next_step=f"add --workflow {Path(having[0].file).name}")
    return [Chosen(having[0], job)]


def _called(workflows: Sequence[Workflow], file: str) -> list[Workflow]:
    names = {Path(each.file).name: each for each in workflows}
    if file not in names:
        raise UsageError(f"no workflow is called {file!r}{did_you_mean(file, names)}")
    return [names[file]]


def list_jobs(root: Path, file: str, printer: Printer) -> dict[str, Any]:
    """Show every job, or those of one workflow file; return the document.

    Raises:
        UsageError: there is no such file.
        ConfigError: a workflow cannot be read.
    """
    document: dict[str, Any] = {"command": "ci", "jobs": []}
    rows = []
    workflows = read_workflows(root)
    for workflow in _called(workflows, file) if file else workflows:
        event = event_of(workflow)
        for job in workflow.jobs.values():
            matrix = {axis: [value.text for value in values] for axis, values in job.matrix.items()}
            document["jobs"].append(
                {
                    "workflow": workflow.file,
                    "job": job.name,
                    "runs_here": bool(event),
                    "matrix": matrix,
                    "needs": list(job.needs),
                    "steps": [step.name for step in job.steps],
                }
            )
            entries = " ".join(f"{axis}={'|'.join(values)}" for axis, values in matrix.items())
            how = f"inv ci {job.name}" if event else f"only with --workflow {Path(workflow.file).name}"
            rows.append([Path(workflow.file).name, job.name, ", ".join(job.needs), entries, how])
    printer.table("", ["workflow", "job", "needs", "matrix", "here"], rows)
    return document


def fill_mirror(root: Path, chosen: Sequence[Chosen], runner: Runner, printer: Printer) -> dict[str, Any]:
    """Fetch the actions of the chosen jobs into the mirror; return the document."""
    folder = mirror_folder(root)
    fetched = fill(remote_actions(job for each in chosen for job in each.jobs), folder, runner)
    for action in fetched:
        printer.info(f"fetched {action}")
    printer.success(f"{folder.relative_to(root)} has every action that these jobs use")
    return {"command": "ci", "mirror": str(folder), "fetched": fetched}


def run_jobs(
    root: Path,
    chosen: Sequence[Chosen],
    runner: Runner,
    printer: Printer,
    *,
    matrix: Sequence[str] = (),
    variables: Sequence[str] = (),
) -> list[JobRun]:
    """Run the jobs of each workflow, one after the other; return what they did.

    Raises:
        UsageError: act is missing, a word is no ``name=value``, or the matrix has no such entry.
        PreflightError: an action or Node is missing here. Nothing has run.
    """
    act = find_act()
    _check_words(chosen, matrix, variables)
    for each in chosen:
        _check(each, root)
    jobs: list[JobRun] = []
    for each in chosen:
        with tempfile.TemporaryDirectory(prefix="handrail-ci-", ignore_cleanup_errors=True) as work:
            jobs += _run(act, each, root, Path(work), runner, printer, matrix, variables)
    return jobs


def _check_words(chosen: Sequence[Chosen], matrix: Sequence[str], variables: Sequence[str]) -> None:
    for word in (*matrix, *variables):
        if "=" not in word.strip("="):
            raise UsageError(f"{word!r} is no name=value")
    known: dict[str, list[str]] = {}
    for job in (job for each in chosen for job in each.jobs):
        for name, values in job.lists.items():
            known.setdefault(name, []).extend(value.text for value in values)
    for word in matrix:
        axis, _, value = word.partition("=")
        if axis not in known:
            raise UsageError(f"no chosen job has {axis!r} in its matrix{did_you_mean(axis, known)}")
        if value not in known[axis]:
            raise UsageError(f"the matrix has no {axis}={value}{did_you_mean(value, known[axis])}")


def _check(chosen: Chosen, root: Path) -> None:
    if calling := [job for job in chosen.jobs if job.uses]:
        raise PreflightError(
            f"{chosen.workflow.file}: job {calling[0].name!r} calls another workflow, which cannot run here"
        )
    folder = mirror_folder(root)
    actions = remote_actions(chosen.jobs)
    if lacking := missing(actions, folder):
        users = [job.name for job in chosen.jobs if missing(remote_actions([job]), folder)]
        ready = [
            job for job in chosen.jobs if not missing(remote_actions(with_needs(chosen.workflow, job.name)), folder)
        ]
        raise PreflightError(
            f"{chosen.workflow.file} uses {', '.join(lacking)} ({', '.join(users)}), which is not in "
            f"{folder.relative_to(root)}",
            next_step="inv ci --mirror, where there is internet"
            + (f"; these run without: {', '.join(f'inv ci {job.name}' for job in ready)}" if ready else ""),
        )
    if needs_node(actions, folder) and not shutil.which("node"):
        raise PreflightError("an action needs Node, and there is no node on PATH", next_step="install Node.js")


def _run(
    act: Path,
    chosen: Chosen,
    root: Path,
    work: Path,
    runner: Runner,
    printer: Printer,
    matrix: Sequence[str],
    variables: Sequence[str],
) -> list[JobRun]:
    labels = labels_here(label for job in chosen.jobs for label in job.labels)
    if not labels:
        # act would ask a person which machines it shall use.
        return [JobRun(job.name, job.name, remark=ANOTHER_MACHINE) for job in chosen.jobs]
    log = Log()

    def line(text: str) -> None:
        if step := log.feed(text):
            _tell(step, printer)
        elif printer.verbose:
            printer.detail(as_text(text))

    folder, port, tracking = mirror_folder(root), free_port(), uuid.uuid4().hex
    argv = act_argv(
        act,
        event=event_of(chosen.workflow) or "workflow_dispatch",
        workflow=chosen.workflow.file,
        job=chosen.job,
        labels=labels,
        matrix=matrix,
        variables=variables,
        actions={name: folder / name for name in with_nested(remote_actions(chosen.jobs), folder)},
        work=work,
        port=port,
    )
    environment = {**with_patient_shell(job_environment(os.environ), work / "bin"), TRACKING: tracking}
    try:
        with relay(port) as address:
            environment |= variables_for_uploads(address)
            result = runner.run(argv, cwd=root, env=environment, check=False, stream=line)
    finally:
        # act ends a step and no more than that: what ran in a session of its own stays, as any tool of a task does.
        end_marked(TRACKING, tracking, patience=2.0)
    for file in keep(work / "artifacts", root):
        printer.info(f"kept {file.relative_to(root)}")
    jobs = list(log.jobs.values())
    is_refused = bool(result.returncode) and not any(job.state == "failed" for job in jobs)
    began: dict[str, set[str]] = {job.id: {run.state for run in jobs if run.id == job.id} for job in jobs}
    # Of a job that never begins act says nothing.
    jobs += [
        JobRun(job.name, job.name, remark="act did not begin it" if is_refused else _why_not(job, began, matrix))
        for job in chosen.jobs
        if job.name not in began
    ]
    if is_refused:
        complaint = next((text for text in log.complaints if text), f"act ended with {result.returncode}")
        jobs.append(JobRun("act", "act", "failed", complaint))
    return jobs


def _why_not(job: Job, began: Mapping[str, set[str]], matrix: Sequence[str]) -> str:
    """Return why ``job`` did not begin; ``began`` has the states of all runs of each job that did."""
    needed = [began.get(name, {"not run"}) for name in job.needs]
    if any("failed" in states for states in needed):
        return "what it needs failed"
    if any(states != {"passed"} for states in needed):
        return "what it needs did not run"
    for axis, _, value in (word.partition("=") for word in matrix):
        if axis in job.lists and value not in [each.text for each in job.lists[axis]]:
            return f"its matrix has no {axis}={value}"
    return "its condition does not hold here"


def _tell(step: StepRun, printer: Printer) -> None:
    said = f"{step.job}: {_COMMIT.sub('', step.name)} {step.state} in {step.seconds:.1f} s"
    if step.state != "failed":
        printer.info(said)
        return
    with printer.section(said):
        for line in step.lines:
            printer.output(line)


def show_runs(jobs: Sequence[JobRun], printer: Printer) -> list[Verdict]:
    """Show each step with its seconds and verdict; return one verdict a job."""
    rows = []
    for job in jobs:
        for step in job.steps:
            rows.append([job.name, _cut(step.name), _shown(step.state), f"{step.seconds:.1f}"])
        if not job.steps:
            rows.append([job.name, f"({job.remark or 'no step began'})", _shown(job.state), ""])
    printer.table("ci", ["job", "step", "verdict", "seconds"], rows)
    for job in jobs:
        for step in job.steps:
            for finding in step.findings:
                if finding.file:
                    printer.annotate("error", finding.message, finding.file, finding.line)
    return [_verdict(job) for job in jobs]


def require_a_good_run(verdicts: Sequence[Verdict]) -> None:
    """End the task where a job failed, or where none ran at all.

    Raises:
        TaskFailedError: names them.
    """
    require_green_verdicts(verdicts)
    if not any(verdict.is_green for verdict in verdicts):
        raise TaskFailedError("no job ran here", next_step="inv ci --list")


def document(jobs: Sequence[JobRun]) -> dict[str, Any]:
    """Return what ``--json`` prints of a run."""
    return {
        "command": "ci",
        "green": bool(jobs) and all(job.state == "passed" for job in jobs),
        "jobs": [
            {
                "job": job.id,
                "name": job.name,
                "state": job.state,
                "remark": job.remark,
                "seconds": round(job.seconds, 2),
                "steps": [
                    {"name": step.name, "state": step.state, "seconds": round(step.seconds, 2)} for step in job.steps
                ],
            }
            for job in jobs
        ],
    }


def _verdict(job: JobRun) -> Verdict:
    red = next((step for step in job.steps if step.state == "failed"), None)
    remark = job.remark or (f"step {_cut(red.name)!r} failed" if red else "")
    state = "not run" if job.state == "skipped" else job.state
    return Verdict(job.name, state, job.seconds, f"inv ci {job.id}", remark)


def _cut(name: str) -> str:
    name = _COMMIT.sub("", name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _shown(state: str) -> str:
    return state if state in ("passed", "skipped") else state.upper()
