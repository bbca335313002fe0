"""``inv init``, and ``handrail init`` where there is no tasks.py yet."""

from __future__ import annotations

from handrail.tasks.base import TaskContext, start_folder, task


@task(
    "init",
    group="setup",
    example="inv init --check",
    help={
        "yes": "ask nothing, and say what was guessed",
        "plan": "show what would be written, and change nothing",
        "check": "only say what has drifted; exit code 1 where something has",
        "update": "bring the managed files and blocks up to date",
        "from_": "where Handrail comes from instead of the package index: a wheel, a folder or a URL",
        "no_lock": "leave uv.lock alone",
        "json": "print one JSON document",
    },
)
def init(
    c: TaskContext,
    yes: bool = False,
    plan: bool = False,
    check: bool = False,
    update: bool = False,
    from_: str = "",
    no_lock: bool = False,
    json: bool = False,
) -> None:
    """Make this repository one of Handrail's; keep it up to date."""
    import os

    from handrail.commands import Runner
    from handrail.errors import UsageError
    from handrail.scaffold import adopt

    adopt.refuse_windows()
    if check and update:
        raise UsageError("--check and --update do not go together", next_step="handrail init --check")
    root = start_folder(c.invoke)
    if check:
        c.printer.result(adopt.check(root, c.printer))
    elif update:
        c.printer.result(adopt.update(root, c.printer, plan=plan))
    else:
        source = from_ or os.environ.get("HANDRAIL_FROM", "")
        wishes = adopt.Wishes(yes, source, plan, lock=not no_lock)
        c.printer.result(adopt.adopt(root, wishes, Runner(c.printer.detail), c.printer))
