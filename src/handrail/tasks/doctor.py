"""``inv doctor``: what is not as it should be, and what to do about it."""

from __future__ import annotations

from handrail.tasks.base import TaskContext, task


@task(
    group="check",
    example="inv doctor --fix",
    help={
        "env": "look at the hosts of this environment instead",
        "fix": "repair what can be repaired without loss, and say what was done",
        "json": "print one JSON document",
    },
)
def doctor(c: TaskContext, env: str = "", fix: bool = False, json: bool = False) -> None:
    """Look at machine, project, parity with CI, or hosts."""
    if env:
        return _hosts(c, env, fix=fix)
    from handrail.commands import Runner
    from handrail.config.load import load_project
    from handrail.doctor.examination import examine
    from handrail.doctor.mending import mend
    from handrail.doctor.report import as_markdown, document, require_well

    project = load_project(c.root)
    runner = Runner(c.printer.detail)
    found = examine(c.root, project, runner, known_tasks())
    done: list[str] = []
    if fix and any(finding.repair for finding in found.findings):
        done, failed = mend(c.root, found.findings, runner)
        for sentence in done:
            c.printer.success(f"mended: {sentence}")
        for sentence in failed:
            c.printer.warn(f"not mended: {sentence}")
        found = examine(c.root, project, runner, known_tasks())
    c.printer.hide(found.secrets)
    found.show(c.printer)
    c.printer.summary(as_markdown(found.parts))
    c.printer.result(document(found.parts, mended=done))
    fixable = not fix and any(finding.repair for finding in found.findings)
    return require_well(found.findings, c.printer, fixable=fixable)


def known_tasks() -> list[str]:
    """Return every task, the project's own too, by each of its names; none outside of `inv`."""
    from handrail.tasks.program import loaded_collection

    loaded = loaded_collection()
    names = loaded.task_names if loaded is not None else {}
    return [*names, *(alias for aliases in names.values() for alias in aliases)]


def _hosts(c: TaskContext, env: str, *, fix: bool) -> None:
    from handrail.deploy.run import Options, open_workshop
    from handrail.doctor.hosts import look_at_hosts, remark
    from handrail.doctor.report import as_markdown, document, require_well, show_part
    from handrail.errors import UsageError

    if fix:
        raise UsageError("--fix mends this machine and project, not hosts", next_step=f"inv doctor --env {env}")
    shop = open_workshop(c.root, Options(environment=env), c.printer, "doctor")
    found, facts = look_at_hosts(shop.target, c.root, shop.hosts)
    for host, findings in found.items():
        show_part(host, findings, remark(facts[host]) if host in facts else "", c.printer)
    c.printer.summary(as_markdown(found))
    c.printer.result(document(found, environment=env, hosts=facts))
    require_well([each for findings in found.values() for each in findings], c.printer, fixable=False)
