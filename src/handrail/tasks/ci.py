"""``inv ci``: the workflows' own jobs, on this machine."""

from __future__ import annotations

from handrail.tasks.base import TaskContext, task


@task(
    group="check",
    example="inv ci lint",
    word="job",
    words="matrix",
    help={
        "job": "only this job and what it needs, also without the option's name; empty: all that a push starts",
        "list_": "show the jobs, and run none",
        "workflow": "the file of one workflow, such as deploy.yml",
        "matrix": "only these entries: axis=value, also without the option's name",
        "variable": "NAME=value for the steps",
        "mirror": "fetch the actions that the jobs use, for runs without internet; run none",
        "json": "print one JSON document",
    },
)
def ci(
    c: TaskContext,
    job: str = "",
    list_: bool = False,
    workflow: str = "",
    matrix: list[str] | None = None,
    variable: list[str] | None = None,
    mirror: bool = False,
    json: bool = False,
) -> None:
    """Run the workflows' jobs on this machine, with act."""
    from handrail.ci.run import choose, document, fill_mirror, list_jobs, require_a_good_run, run_jobs, show_runs
    from handrail.commands import Runner

    if list_:
        c.printer.result(list_jobs(c.root, workflow, c.printer))
        return
    runner = Runner(c.printer.detail)
    chosen = choose(c.root, job, workflow)
    if mirror:
        c.printer.result(fill_mirror(c.root, chosen, runner, c.printer))
        return
    jobs = run_jobs(c.root, chosen, runner, c.printer, matrix=matrix or (), variables=variable or ())
    verdicts = show_runs(jobs, c.printer)
    c.printer.result(document(jobs))
    for verdict in verdicts:
        if verdict.state == "not run":
            c.printer.warn(f"NOT RUN: {verdict.name}: {verdict.remark}")
    require_a_good_run(verdicts)
