"""``inv fingerprint``: what differs between two machines on which the same commit does not do the same."""

from __future__ import annotations

from pathlib import Path

from handrail.tasks.base import TaskContext, task


@task(
    group="check",
    example="inv fingerprint --diff ci.json",
    help={
        "output": "the file to write; .handrail/fingerprint.json without it",
        "diff": "another machine's fingerprint: say what differs, the most suspicious first",
        "json": "print one JSON document",
    },
)
def fingerprint(c: TaskContext, output: Path | None = None, diff: Path | None = None, json: bool = False) -> None:
    """Describe this machine without secrets, or compare it."""
    import os

    from handrail.commands import Runner
    from handrail.config.load import load_project
    from handrail.doctor.fingerprint import FILE, read, take, write

    project = load_project(c.root)
    # As typed: relative to where one stands.
    other = read(diff, project.app) if diff else None
    runner = Runner(c.printer.detail)
    mine = take(c.root, project, runner, os.environ)
    if other is None or output is not None:
        path = output or c.root / FILE
        write(path, mine)
        counted = mine["variables"]
        c.printer.success(f"written to {os.path.relpath(path)}")
        c.printer.info(
            f"no value of a variable is in it: {len(counted['hashed'])} as hashes, which cannot be secret, "
            f"{len(counted['named'])} by name alone"
        )
    if other is None or diff is None:
        return c.printer.result(mine)

    from handrail.config.contract import load_contract
    from handrail.config.reads import is_system_name, scan
    from handrail.doctor.differences import differences

    read_names = {name for name in scan(c.root, runner).by_name() if not is_system_name(name)}
    known = {*load_contract(c.root).variables, *read_names}
    sentences, rest = differences(mine, other, diff.name, known)
    for sentence in sentences:
        c.printer.info(f"- {sentence}")
    if rest:
        more = f"{len(rest)} variables that nothing in the project names are set on one side only"
        c.printer.detail(f"{more}: {', '.join(rest)}")
    if not sentences:
        c.printer.success(f"this machine is like {diff.name} in all that counts")
    return c.printer.result(
        {"command": "fingerprint", "equal": not sentences, "differences": sentences, "other_variables": rest}
    )
