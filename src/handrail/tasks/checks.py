"""``inv lint``, ``typecheck``, ``test`` and ``check``: what proves a commit."""

from __future__ import annotations

from handrail.tasks.base import TaskContext, task

_GROUP = "check"


@task(
    group=_GROUP,
    example="inv lint --fix",
    help={"fix": "repair and format what can be repaired, then check"},
)
def lint(c: TaskContext, fix: bool = False) -> None:
    """Check style, format, import contracts and workflow files."""
    from handrail.checks.lint import run_lint
    from handrail.checks.report import require_green_verdicts, show, summarize
    from handrail.commands import Runner
    from handrail.config.load import load_project

    verdicts = run_lint(c.root, load_project(c.root), Runner(c.printer.detail), fix=fix)
    for verdict in verdicts:
        show(verdict, c.printer)
    summarize("lint", verdicts, c.printer)
    require_green_verdicts(verdicts)


@task(group=_GROUP, example="inv typecheck")
def typecheck(c: TaskContext) -> None:
    """Check types with mypy, strict."""
    from handrail.checks.report import require_green_verdicts, show, summarize
    from handrail.checks.typecheck import run_typecheck
    from handrail.commands import Runner
    from handrail.config.load import load_project

    declared = load_project(c.root).checks
    if declared.types == "off":
        c.printer.info('types are not checked: [tool.handrail.checks] types is "off" in pyproject.toml')
        return
    verdict = run_typecheck(c.root, Runner(c.printer.detail), declared)
    show(verdict, c.printer)
    summarize("typecheck", [verdict], c.printer)
    require_green_verdicts([verdict])


@task(
    "test",
    group=_GROUP,
    example="inv test --python 3.12 -- -k rollback",
    help={
        "python": "test the built wheel on this Python of the matrix, such as 3.12",
        "all_": "test here, then the built wheel on every Python of the matrix",
        "unit": "only tests marked unit",
        "integration": "only tests marked integration",
    },
)
def run_pytest(
    c: TaskContext, python: str = "", all_: bool = False, unit: bool = False, integration: bool = False
) -> None:
    """Run the tests; what follows -- goes to pytest."""
    from handrail.checks.report import require_green_verdicts
    from handrail.checks.run_tests import run_tests
    from handrail.checks.suite import Selection
    from handrail.commands import Runner
    from handrail.config.load import load_project
    from handrail.errors import UsageError

    if python and all_:
        raise UsageError("--python and --all do not go together", next_step=f"inv test --python {python}")
    selection = Selection(unit, integration, tuple(c.args))
    verdicts = run_tests(
        c.root, load_project(c.root), selection, Runner(c.printer.detail), c.printer, python=python, matrix=all_
    )
    require_green_verdicts(verdicts)


@task(
    group=_GROUP,
    example="inv check",
    help={
        "ci_results": "only judge the results of a workflow's earlier jobs, from $CI_RESULTS",
        "json": "print the record as one JSON document",
    },
)
def check(c: TaskContext, ci_results: bool = False, json: bool = False) -> None:
    """Run everything that CI runs, and record it for deploys."""
    from handrail.checks.report import require_green_verdicts

    if ci_results:
        import os

        from handrail.checks.ci_results import judge_results
        from handrail.checks.report import show_table, summarize

        verdicts = judge_results(os.environ)
        show_table("jobs", verdicts, c.printer)
        summarize("jobs", verdicts, c.printer)
        told = [{"name": each.name, "state": each.state, "remark": each.remark} for each in verdicts]
        is_green = all(each.is_green for each in verdicts)
        c.printer.result({"command": "check", "verdicts": told, "green": is_green})
        return require_green_verdicts(verdicts)

    from handrail.checks.check import run_check
    from handrail.checks.report import conclude
    from handrail.commands import Runner
    from handrail.config.load import load_project

    outcome = run_check(c.root, load_project(c.root), Runner(c.printer.detail), c.printer)
    conclude(c.root, outcome, c.printer)
    return require_green_verdicts(outcome.verdicts)
