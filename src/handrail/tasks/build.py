"""``inv build``: from source to what is deployed."""

from __future__ import annotations

from handrail.tasks.base import TaskContext, task


@task(
    group="build",
    example="inv build --python 3.12",
    help={
        "python": "the hosts' Python, such as 3.12, instead of the declared one",
        "platform": "the hosts' wheel platform, such as manylinux_2_28_aarch64, instead of the declared one",
        "json": "print one JSON document",
    },
)
def build(c: TaskContext, python: str = "", platform: str = "", json: bool = False) -> None:
    """Build wheel, sdist and the deployable bundle into dist/."""
    from handrail.build.outputs import build_outputs, show_outputs
    from handrail.commands import Runner
    from handrail.config.load import load_project
    from handrail.deploy.hooks import run_hooks

    project = load_project(c.root)
    runner = Runner(c.printer.detail)
    run_hooks(project.hooks.before_build, "before_build", {"app": project.app}, c.root, runner, c.printer)
    outputs = build_outputs(project, c.root, python=python, platform=platform, run=runner, printer=c.printer)
    bundle = outputs.bundle
    facts = {"app": project.app, "bundle": bundle.digest, "commit": bundle.commit}
    run_hooks(project.hooks.after_build, "after_build", facts, c.root, runner, c.printer)
    show_outputs(outputs, c.root, c.printer)
    c.printer.result(outputs.document(c.root))
