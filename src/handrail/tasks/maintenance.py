"""``inv maintenance on|off``: a page in front of the service, served by the proxy. Without a word: its state."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from handrail.tasks.base import TaskContext, task


@task(
    group="deploy",
    example="inv maintenance on --env staging",
    word="state",
    help={
        "state": "on or off, also without the option's name; without either, say how it is now",
        "env": "the environment, as declared in pyproject.toml",
        "page": "the HTML file to serve; without one, a plain page",
        "wait": "seconds to wait for somebody else's deploy lock",
        "json": "print one JSON document",
    },
)
def maintenance(
    c: TaskContext,
    env: str,
    state: Literal["on", "off"] | None = None,
    page: Path | None = None,
    wait: float = 0.0,
    json: bool = False,
) -> None:
    """Serve a page with status 503 from the proxy, or end it."""
    from handrail.deploy.maintenance import maintenance_state, read_page, set_maintenance, show_maintenance
    from handrail.deploy.run import Options, open_workshop
    from handrail.errors import TaskFailedError, UsageError

    if page and state != "on":
        raise UsageError(f"--page goes with on, not with {state or 'asking how it is'}")
    text = read_page(page) if state == "on" else ""
    target = open_workshop(c.root, Options(environment=env), c.printer, "maintenance").target
    if state is None:
        document = maintenance_state(target, c.root)
        c.printer.result(document)
        show_maintenance(document, c.printer)
        if any(row["error"] for row in document["hosts"]):
            raise TaskFailedError(f"not every host of {env} could be asked", next_step=f"inv status --env {env}")
        return
    document = set_maintenance(target, c.root, text, c.printer, wait=wait)
    c.printer.result(document)
    if state == "on":
        c.printer.success(f"visitors of {env} get the maintenance page (503); deploys go on behind it")
        c.printer.info(f"To end it: inv maintenance off --env {env}")
    else:
        c.printer.success(f"visitors of {env} get the service")
