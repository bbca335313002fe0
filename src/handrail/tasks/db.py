"""``inv db.plan``: what a migration would do, tried on a copy of the database."""

from __future__ import annotations

from handrail.tasks.base import TaskContext, task


@task(
    group="deploy",
    example="inv db.plan --env staging",
    help={
        "env": "the environment, as declared in pyproject.toml",
        "bundle": "try this bundle file, made by inv build, instead of building one",
        "wait": "seconds to wait for somebody else's deploy lock",
        "json": "print one JSON document",
    },
)
def plan(c: TaskContext, env: str, bundle: str = "", wait: float = 0.0, json: bool = False) -> None:
    """Try this commit's migration on a copy of the database."""
    from handrail.deploy.rehearsal import show_rehearsal
    from handrail.deploy.run import Options, run_rehearsal
    from handrail.errors import TaskFailedError

    document = run_rehearsal(c.root, Options(environment=env, bundle=bundle, wait=wait), c.printer)
    c.printer.result(document)
    show_rehearsal(document, c.printer)
    migrate = document["migrate"]
    if not migrate["ok"]:
        raise TaskFailedError(
            f"the migration {migrate['how']} on a copy of the database",
            host=document["host"],
            step="migrate",
            command=migrate["command"],
            returncode=migrate["returncode"],
            lines=migrate["lines"],
            next_step="mend it, commit, and try again; nothing was changed",
        )
