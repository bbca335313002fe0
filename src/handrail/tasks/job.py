"""``inv job.run``: a periodic job now, not at its next time."""

from __future__ import annotations

from handrail.tasks.base import TaskContext, task


@task(
    group="deploy",
    example="inv job.run nightly --env staging",
    positional=("name",),
    help={
        "name": "the job, as declared under [tool.handrail.processes]",
        "env": "the environment, as declared in pyproject.toml",
        "wait": "seconds to wait for somebody else's deploy lock",
        "json": "print one JSON document",
    },
)
def run(c: TaskContext, name: str, env: str, wait: float = 0.0, json: bool = False) -> None:
    """Begin a periodic job now; does not wait for its end."""
    from handrail.deploy.jobs import begin_job
    from handrail.deploy.run import Options, open_workshop

    target = open_workshop(c.root, Options(environment=env), c.printer, "job.run").target
    document = begin_job(target, c.root, name, c.printer, wait=wait)
    c.printer.result(document)
    c.printer.success(f"{name} has begun on {', '.join(document['hosts'])}")
    c.printer.info(f"To see how it goes: inv logs --env {env} --process {name}   how it ended: inv status --env {env}")
