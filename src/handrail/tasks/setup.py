"""``inv setup``: from a clone to a machine on which the project can be worked on."""

from __future__ import annotations

from handrail.tasks.base import TaskContext, task


@task(
    group="setup",
    example="inv setup",
    help={
        "minimal": "only the environment and .env: no hooks, services, database",
        "skip_docker": "without the development services",
        "editor": "also write VS Code settings, merged into yours",
        "pythons": "also install the test matrix's missing interpreters, with uv",
    },
)
def setup(
    c: TaskContext, minimal: bool = False, skip_docker: bool = False, editor: bool = False, pythons: bool = False
) -> None:
    """Prepare this machine: environment, .env, hooks, services."""
    from handrail.commands import Runner
    from handrail.config.load import load_project
    from handrail.setup.steps import Wishes, run_setup

    wishes = Wishes(minimal, skip_docker, editor, pythons)
    run_setup(c.root, load_project(c.root), wishes, Runner(c.printer.detail), c.printer)
