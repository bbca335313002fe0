"""Which jobs of ``.github/workflows`` run here, and in which order; the reader is that of `handrail.parity`."""

from __future__ import annotations

from pathlib import Path

from handrail.parity.workflows import FOLDER, Job, Workflow, read_workflow, workflow_files

# Started by a push or a pull request: what looks at a change. Others may deploy, and never run unasked.
_LOOKING = ("push", "pull_request")


def read_workflows(root: Path) -> list[Workflow]:
    """Return the workflows of the project in ``root``, by file name.

    Raises:
        ConfigError: one is no YAML, or has no jobs.
    """
    return [read_workflow(root, name) for name in workflow_files(root) if name.startswith(f"{FOLDER}/")]


def event_of(workflow: Workflow) -> str:
    """Return the event with which a workflow runs here; ``""``: it is started in another way, such as by hand."""
    return next((event for event in _LOOKING if event in workflow.triggers), "")


def with_needs(workflow: Workflow, job: str) -> list[Job]:
    """Return ``job`` after all that it needs, directly or not."""
    found: dict[str, Job] = {}

    def visit(name: str) -> None:
        if name in workflow.jobs and name not in found:
            for needed in workflow.jobs[name].needs:
                visit(needed)
            found[name] = workflow.jobs[name]

    visit(job)
    return list(found.values())
