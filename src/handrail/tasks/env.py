"""``inv env``: every value of an environment with its source, secrets masked.

It shows, it does not judge: a missing variable is a row here, and a failure in the task that needs it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from handrail.tasks.base import TaskContext, task

if TYPE_CHECKING:
    from handrail.config.values import Values


@task(
    group="deploy",
    example="inv env --env staging",
    help={"env": "the environment, as declared in pyproject.toml", "json": "print one JSON document"},
)
def env(c: TaskContext, env: str, json: bool = False) -> None:
    """Show each value with its source, secrets masked."""
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
