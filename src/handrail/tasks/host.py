"""``inv host.setup`` and ``inv host.retire``: a machine becomes a host that takes deploys, and goes out of service."""

from __future__ import annotations

from pathlib import Path

from handrail.tasks.base import TaskContext, task


@task(
    group="hosts",
    example="inv host.setup --env production --login admin --plan",
    help={
        "env": "the environment, as declared in pyproject.toml",
        "plan": "say what would be done, host by host, and change nothing",
        "yes": "stand for the approval that the environment asks for",
        "hosts": "only these hosts, separated by commas",
        "login": "who logs in and may use sudo; empty: the environment's own user",
        "authorized_key": "file with public keys that may deploy; none: the key that you log in with",
        "json": "print one JSON document",
    },
)
def setup(
    c: TaskContext,
    env: str,
    plan: bool = False,
    yes: bool = False,
    hosts: str = "",
    login: str = "",
    authorized_key: list[Path] | None = None,
    json: bool = False,
) -> None:
    """Prepare Debian or Ubuntu machines for deploys, with sudo."""
    import sys

    from handrail.deploy.gates import ask_approval
    from handrail.deploy.run import Options, open_workshop
    from handrail.errors import HandrailError
    from handrail.hosts.keys import read_keys
    from handrail.hosts.report import show
    from handrail.hosts.setup import check_login, set_up
    from handrail.tasks.rerun import planned_line

    check_login(login)
    keys = read_keys(authorized_key or [])
    shop = open_workshop(c.root, Options(environment=env, hosts=hosts, yes=yes), c.printer, "host.setup")
    again = planned_line(sys.argv)
    try:
        document = set_up(
            shop.target,
            c.root,
            shop.hosts,
            c.printer,
            login=login,
            keys=keys,
            plan=plan,
            agree=lambda: ask_approval(shop, "set up"),
        )
    except HandrailError as error:
        if error.document:
            c.printer.result(error.document)
            show(error.document, c.printer, again)
        raise
    c.printer.result(document)
    show(document, c.printer, again)


@task(
    group="hosts",
    example="inv host.retire --env production --hosts deploy@web3.example.com",
    help={
        "env": "the environment, as declared in pyproject.toml",
        "hosts": "the hosts, separated by commas; also such as are no longer declared",
        "yes": "stand for the approval that the environment asks for",
        "wait": "seconds to wait for somebody else's deploy lock",
        "json": "print one JSON document",
    },
)
def retire(c: TaskContext, env: str, hosts: str, yes: bool = False, wait: float = 0.0, json: bool = False) -> None:
    """End what runs on a host that is taken out."""
    from handrail.deploy.gates import ask_approval
    from handrail.deploy.retire import read_hosts, retire, show
    from handrail.deploy.run import Options, open_workshop

    shop = open_workshop(c.root, Options(environment=env, yes=yes), c.printer, "host.retire")
    shop.hosts = read_hosts(hosts, shop.target.hosts)
    document = retire(shop.target, c.root, shop.hosts, c.printer, lambda: ask_approval(shop, "retire"), wait)
    c.printer.result(document)
    show(document, c.printer)
