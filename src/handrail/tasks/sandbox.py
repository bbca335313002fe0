"""``inv sandbox.up|down|status``: a host of one's own, without installing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handrail.tasks.base import TaskContext, task

if TYPE_CHECKING:
    from handrail.ui import Printer

_JSON = "print one JSON document"
_DECLARE = """\
pyproject.toml declares no environment for it yet; add:

[tool.handrail.environments.sandbox]
hosts = ["sandbox"]
manager = "supervisor"
ssh_config = ".handrail/sandbox/ssh_config"
known_hosts = ".handrail/sandbox/known_hosts"
"""


@task(group="sandbox", example="inv sandbox.up", help={"json": _JSON})
def up(c: TaskContext, json: bool = False) -> None:
    """Start the embedded host: SSH server, supervisor and Caddy."""
    from handrail.config.load import load_project
    from handrail.sandbox.lifecycle import up as start
    from handrail.sandbox.lifecycle import upstream_port

    project = load_project(c.root)
    document = start(c.root, upstream_port(project))
    c.printer.result(document)
    verdict = {
        "": "the sandbox is up already; nothing was changed",
        "started": "the sandbox is up",
        "restarted": "a part of the sandbox had died: it was started again",
        "rerouted": f"the sandbox is up already; its proxy forwards to port {document['upstream_port']} now",
    }
    c.printer.success(verdict[document["changed"]])
    _show(document, c.printer)
    if "sandbox" in project.environments:
        c.printer.info("next: inv deploy --env sandbox")
    else:
        c.printer.warn(_DECLARE)


@task(
    group="sandbox",
    example="inv sandbox.down --purge",
    help={"purge": "delete its folder too: keys, releases, data", "json": _JSON},
)
def down(c: TaskContext, purge: bool = False, json: bool = False) -> None:
    """Stop the embedded host and everything that runs on it."""
    from handrail.sandbox.lifecycle import down as stop
    from handrail.sandbox.places import Places

    document = stop(c.root, purge=purge)
    c.printer.result(document)
    if document["was_running"]:
        c.printer.success("the sandbox is down")
    elif document["ended"]:
        c.printer.success(
            f"the sandbox was not running; {len(document['ended'])} processes that it had left were ended"
        )
    else:
        c.printer.success("the sandbox is not running; nothing to stop")
    if document["purged"]:
        c.printer.info("its folder was deleted")
    elif Places.of(c.root).folder.exists():
        c.printer.info("keys, releases and data are kept for the next inv sandbox.up")


@task(group="sandbox", example="inv sandbox.status --json", help={"json": _JSON})
def status(c: TaskContext, json: bool = False) -> None:
    """Show the embedded host: ports, processes, releases."""
    from handrail.sandbox.lifecycle import status as look

    document = look(c.root)
    c.printer.result(document)
    c.printer.info("the sandbox is up" if document["running"] else "the sandbox is not running (try: inv sandbox.up)")
    _show(document, c.printer)


def _show(document: dict[str, Any], printer: Printer) -> None:
    for problem in document["problems"]:
        printer.warn(problem)
    if document["running"]:
        ssh = document["ssh"]
        printer.info(f"SSH    127.0.0.1:{ssh['port']}  (ssh -F {ssh['config']} {ssh['host']})")
        printer.info(f"proxy  {document['url']}  → port {document['upstream_port'] or '(no service declared)'}")
        rows = [[str(p["name"]), str(p["pid"] or "-"), str(p["state"])] for p in document["processes"]]
        printer.table("processes", ["name", "pid", "state"], rows)
    if document["apps"]:
        rows = [[app["app"], app["release"] or "-", app["releases"]] for app in document["apps"]]
        printer.table("apps", ["app", "release", "folder"], rows)
