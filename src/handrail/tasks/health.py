"""``inv health`` and ``inv smoke``: whether an environment is well, asked from inside and from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handrail.tasks.base import TaskContext, task

if TYPE_CHECKING:
    from handrail.deploy.run import Workshop

_ENV = "the environment, as declared in pyproject.toml"
_JSON = "print one JSON document"


@task(
    group="deploy",
    example="inv health --env staging",
    help={"env": _ENV, "json": _JSON},
)
def health(c: TaskContext, env: str, json: bool = False) -> None:
    """Ask each host for its health; fail unless all are healthy."""
    from handrail.deploy.status import collect_status
    from handrail.errors import TaskFailedError
    from handrail.health.summary import COLUMNS, health_document, rows, verdict

    document = health_document(collect_status(_workshop(c, env, "health").target, c.root))
    c.printer.result(document)
    c.printer.table(f"{document['app']} on {env}", COLUMNS, rows(document))
    if not document["ok"]:
        raise TaskFailedError(
            f"{env} is not healthy: {verdict(document)}",
            host_states={host["host"]: host["why"] for host in document["hosts"] if not host["ok"]},
            next_step=f"inv logs --env {env}",
        )
    c.printer.success(verdict(document))


@task(
    group="deploy",
    example="inv smoke --env staging",
    help={"env": _ENV, "json": _JSON},
)
def smoke(c: TaskContext, env: str, json: bool = False) -> None:
    """Make the declared HTTP checks against an environment."""
    from handrail.deploy.connect import address_of
    from handrail.errors import TaskFailedError
    from handrail.health.smoke import base_url, declared_checks, run_smoke

    shop = _workshop(c, env, "smoke")
    checks = declared_checks(shop.project)
    hosts = [address_of(host, shop.target, c.root) for host in shop.target.hosts]
    address, remark = base_url(shop.target.url, hosts, shop.target.port)
    if remark:
        c.printer.warn(remark)
    results = run_smoke(checks, address)
    failed = [result for result in results if not result.is_ok]
    c.printer.result(
        {
            "command": "smoke",
            "environment": env,
            "url": address,
            "ok": not failed,
            "checks": [result.document() for result in results],
        }
    )
    for result in results:
        c.printer.info(result.line())
    if failed:
        raise TaskFailedError(
            f"{len(failed)} of {len(results)} smoke checks failed against {address}",
            next_step=f"inv health --env {env}" if all(result.status for result in failed) else remark,
        )
    c.printer.success(f"{len(results)} smoke checks passed against {address}")


def _workshop(c: TaskContext, env: str, task: str) -> Workshop:
    from handrail.deploy.run import Options, open_workshop

    return open_workshop(c.root, Options(environment=env), c.printer, task)
