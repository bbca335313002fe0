"""What an environment asks of one of its hosts, and which facts tell how far the host is from it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.errors import ConfigError
from handrail.runtime import proxy

if TYPE_CHECKING:
    from handrail.config.target import Target
    from handrail.hosts.steps import Facts

NGINX_CONF = "/etc/nginx/nginx.conf"
NGINX_DEFAULT = "/etc/nginx/sites-enabled/default"
NGINX_AVAILABLE = "/etc/nginx/sites-available/default"
SUPERVISOR = {
    "ctl": "/usr/bin/supervisorctl",
    "conf": "/etc/supervisor/supervisord.conf",
    "include": "/etc/supervisor/conf.d",
}


@dataclass(frozen=True)
class Want:
    """What a host is to be.

    Attributes:
        host: as the environment names it.
        login: the user who sets it up.
        user: the user who deploys.
        keys: public keys, as lines of authorized_keys, that may deploy.
        ssh_port: TCP port that SSH was reached on.
    """

    host: str
    login: str
    user: str
    target: Target
    keys: Sequence[str] = ()
    ssh_port: int = 22

    @property
    def app(self) -> str:
        return self.target.app

    @property
    def python(self) -> str:
        """The minor version that releases run on: as declared, else the one that builds them here."""
        return self.target.python or f"{sys.version_info[0]}.{sys.version_info[1]}"

    @property
    def proxy(self) -> str:
        """``caddy``, ``nginx`` or nothing."""
        return self.target.proxy.kind if self.target.proxy else ""

    @property
    def manager(self) -> str:
        """The process manager; empty where the app has no service."""
        return self.target.manager if self.target.service else ""

    @property
    def sudoers(self) -> str:
        """Path of the file that lets the user control the service."""
        return f"/etc/sudoers.d/handrail-{self.app}"

    @property
    def servers(self) -> list[str]:
        """What has to run on the host: names of programs, packages and units alike."""
        return [name for name in (self.proxy, "supervisor" if self.manager == "supervisor" else "") if name]

    @property
    def packages(self) -> list[str]:
        """Debian packages, those of Python apart."""
        return [*([] if self.user == "root" else ["sudo"]), *self.servers]

    def request(self) -> dict[str, Any]:
        """Return what to ask the program on the host for."""
        pythons = [f"python{self.python}", f"python{self.python}-venv"]
        is_nginx = self.proxy == "nginx"
        files = {"caddy": [proxy.CADDYFILE], "nginx": [NGINX_CONF, NGINX_AVAILABLE, NGINX_DEFAULT]}
        return {
            "user": self.user,
            "root": self.target.root,
            "app": self.app,
            "python": self.python,
            # Debian's site belongs to the package that nginx's variants share.
            "packages": [*self.packages, *pythons, "unattended-upgrades", *(["nginx-common"] if is_nginx else [])],
            "programs": [*self.servers, "sudo"],
            "units": self.servers,
            "files": [self.sudoers, *files.get(self.proxy, [])],
            "links": [NGINX_DEFAULT] if is_nginx else [],
        }

    def service(self, facts: Facts) -> dict[str, Any] | None:
        """Return the service as a deploy will run it there; None for an app without one.

        Beside it stands what earlier deploys left, so that the next one may end it: processes that are no longer
        declared, and slots. Of each process there is one at least.
        """
        from handrail.config.schema import Worker
        from handrail.deploy.release import service_for, worker_specs

        uid = 0 if self.user == "root" else (facts["account"] or {}).get("uid", 1000)
        known = {"folder": facts["folder"], "user": self.user, "uid": uid, "home": facts["home"]}
        left = facts["processes"]
        known.update(supervisor=SUPERVISOR, scale=dict.fromkeys([*self.target.processes, *(one[0] for one in left)], 1))
        service = service_for(self.target, known)
        if service is None:
            return None
        service["keeps_slots"] = facts["slots"]
        for name, manager, is_job in left:
            worker = Worker(command="true", schedule="@daily" if is_job else "")
            # A name that no process can have is none that a deploy wrote.
            with contextlib.suppress(ConfigError):
                specs = worker_specs(replace(self.target, processes={name: worker}, manager=manager), known)
                service["processes"].update({f"{manager} {key}": spec for key, spec in specs.items()})
        return service


def bare_facts(want: Want, os_release: dict[str, str]) -> dict[str, Any]:
    """Return the facts of a host on which nothing was done yet, for a plan where even Python is missing to look."""
    home = "/root" if want.user == "root" else f"/home/{want.user}"
    root = want.target.root
    return {
        "os": os_release,
        "account": {"uid": 0, "gid": 0, "home": home, "shell": "/bin/bash"} if want.user == "root" else None,
        "group": False,
        "home": home,
        "folder": str(Path(home + root[1:] if root.startswith("~") else root, want.app)),
        "keys": None,
        "processes": [],
        "slots": False,
        "owners": {},
        "files": {},
        "links": {},
        "unchanged": [],
        "apt": {
            "installed": [] if want.login == "root" else ["sudo"],
            "candidates": {},
            "age": None,
            "interrupted": False,
        },
        "pythons": {},
        "has_venv": False,
        "uv": "",
        "programs": {},
        "systemd": True,
        "units": {},
        "firewall": {"ufw": "", "firewalld": "", "nft": []},
        "sshd": {},
        "clock_synchronised": "yes",
        "automatic_upgrades": True,
    }
