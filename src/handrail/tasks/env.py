"""``inv env``: every value of an environment with its source, secrets masked.

With ``--env`` it shows and does not judge: a missing variable is a row, and a failure in the task that needs it. With
``--check`` all environments and the code are held against the contract, with ``--diff`` two of them are compared.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from handrail.tasks.base import HandrailTask, TaskContext, task

if TYPE_CHECKING:
    from handrail.config.values import Values
    from handrail.tasks.options import Option


@task(
    group="deploy",
    example="inv env --env staging",
    pair="diff",
    help={
        "env": "the environment, as declared in pyproject.toml",
        "check": "hold all environments and the code against the contract",
        "diff": "two environments, to be compared: --diff staging production",
        "json": "print one JSON document",
    },
)
def env(c: TaskContext, env: str = "", check: bool = False, diff: list[str] | None = None, json: bool = False) -> None:
    """Show each value with its source, check or compare them."""
    from handrail.errors import UsageError
    from handrail.tasks.missing import missing_option

    if check and (diff or env):
        raise UsageError("--check looks at all environments at once", next_step="inv env --check")
    if diff and env:
        raise UsageError("--diff compares the two environments that it names, and takes no --env")
    if check:
        return _check(c)
    if diff:
        return _compare(c, diff)
    if not env:
        raise missing_option("env", _env_option(), c.root)
    return _show(c, env)


def _env_option() -> Option:
    task: HandrailTask = globals()["env"]
    return next(option for option in task.options() if option.name == "env")


def _show(c: TaskContext, env: str) -> None:
    from handrail.config.load import environment, load_project
    from handrail.config.values import load_values

    environment(load_project(c.root), env)
    values = load_values(c.root, env, process=os.environ)
    c.printer.hide(values.secrets())
    rows = describe(values)
    c.printer.table(
        f"Values of {env}",
        ["Name", "Value", "Source", "Needed by"],
        [[row["name"], row["shown"], row["source"] or "-", ", ".join(row["needed_by"]) or "-"] for row in rows],
    )
    for warning in values.warnings:
        c.printer.warn(warning)
    c.printer.result(
        {
            "environment": env,
            "values": [{key: row[key] for key in row if key != "shown"} for row in rows],
            "warnings": values.warnings,
        }
    )


def _check(c: TaskContext) -> None:
    from dataclasses import asdict

    from handrail.commands import Runner
    from handrail.config.audit import audit
    from handrail.config.load import load_project
    from handrail.doctor.report import require_well, show_part

    found = audit(c.root, load_project(c.root), os.environ, Runner(c.printer.detail))
    c.printer.hide(found.secrets)
    c.printer.table(
        "Where each value comes from",
        ["Name", *found.environments, "Read at"],
        [
            [
                f"{row.name} (secret)" if row.secret else row.name,
                *(row.cells.get(name, "?") for name in found.environments),
                ", ".join(row.read_at[:2]) + (f" and {len(row.read_at) - 2} more" if len(row.read_at) > 2 else "")
                or "-",
            ]
            for row in found.rows
        ],
    )
    show_part("contract", found.findings, "", c.printer)
    c.printer.result(
        {
            "command": "env",
            "ok": not any(finding.level == "error" for finding in found.findings),
            "environments": found.environments,
            "variables": [asdict(row) for row in found.rows],
            "findings": [finding.document() for finding in found.findings],
        }
    )
    require_well(found.findings, c.printer, fixable=False)


def _compare(c: TaskContext, names: list[str]) -> None:
    from handrail.config.compare import compare
    from handrail.config.load import environment, load_project
    from handrail.config.values import load_values
    from handrail.errors import UsageError

    project = load_project(c.root)
    if len(names) != 2 or names[0] == names[1]:
        known = sorted(project.environments)
        raise UsageError(
            f"--diff needs two environments; known: {', '.join(known) or 'none'}",
            next_step=f"inv env --diff {' '.join(known[:2])}" if len(known) > 1 else "",
        )
    for name in names:
        environment(project, name)
    first, second = (load_values(c.root, name, process=os.environ) for name in names)
    c.printer.hide([*first.secrets(), *second.secrets()])
    found = compare(first, second)
    differ = [each for each in found if each.state != "equal"]
    # A secret's two masks look the same: the words say what they are.
    c.printer.table(
        f"{names[0]} and {names[1]}",
        ["Name", *names, ""],
        [
            [each.name, *(text if text is not None else "(not set)" for text in (each.first, each.second)),
             {"only in the first": f"only in {names[0]}", "only in the second": f"only in {names[1]}"}.get(
                 each.state, each.state)]
            for each in differ
        ],
    )  # fmt: skip
    equal = len(found) - len(differ)
    c.printer.info(f"{len(differ)} of {len(found)} differ; {equal} {'is' if equal == 1 else 'are'} equal")
    c.printer.result({"command": "env", "environments": names, "variables": [each.document() for each in found]})


def describe(values: Values) -> list[dict[str, Any]]:
    """Return one row for each variable that is set or declared, sorted by name.

    Keys: ``name``; ``value`` (masked where secret, None where not set); ``secret``; ``source`` (empty where
    not set); ``type``; ``needed_by``; ``missing`` (needed by somebody, yet empty); ``shown`` (the cell).
    """
    from handrail.config.contract import Variable
    from handrail.config.secret import Secret

    rows = []
    for name in sorted({*values, *values.contract.variables}):
        variable = values.contract.variables.get(name, Variable(name, 0, needed_by=()))
        value = values.get(name)
        is_empty = value is None or not value.text
        text = None if value is None else str(value.value) if value.text else ""
        rows.append(
            {
                "name": name,
                "value": text,
                "secret": variable.secret or (value is not None and isinstance(value.value, Secret)),
                "source": value.source if value else "",
                "type": variable.type,
                "needed_by": list(variable.needed_by),
                "missing": is_empty and bool(variable.needed_by),
                "shown": "(not set)" if value is None else text or "(empty)",
            }
        )
    return rows
