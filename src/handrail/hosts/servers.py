"""The web server in front of the service, and the process manager under it: configured, enabled, started."""

from __future__ import annotations

import posixpath
import re

from handrail.config.site import parse_site
from handrail.hosts.steps import Action, Facts, Step, run, unlink, write
from handrail.hosts.want import NGINX_AVAILABLE, NGINX_CONF, NGINX_DEFAULT, Want
from handrail.runtime import proxy

_SYSTEMCTL = "systemctl"
# Without that word, the first one that nginx reads is asked, and it reads what a deploy writes before the sites.
_ANSWERS_FIRST = re.compile(r"(?m)^\s*listen\s+(?:[^\s;]*:)?80\s[^;]*\bdefault_server\b")


def proxy_step(want: Want, facts: Facts) -> Step:
    """Caddy or nginx, ready for the file that a deploy writes."""
    if not want.proxy:
        return Step("proxy", there="none declared")
    if problem := _unit_problem(want.proxy, facts):
        return problem
    return _caddy(want, facts) if want.proxy == "caddy" else _nginx(want, facts)


def manager_step(want: Want, facts: Facts) -> Step:
    """The process manager that runs the service."""
    if not want.manager:
        return Step("manager", there="the app has no service")
    if want.manager == "systemd":
        if facts["systemd"]:
            return Step("manager", there="systemd")
        return Step(
            "manager",
            problem="this host does not run systemd",
            next_step='set manager = "supervisor" for this environment, and start supervisord there',
        )
    if problem := _unit_problem("supervisor", facts, "manager"):
        return problem
    todo, actions = _running("supervisor", facts)
    return Step("manager", todo="; ".join(todo), actions=actions, there="supervisor")


def _unit_problem(name: str, facts: Facts, step: str = "proxy") -> Step | None:
    """Refuse a program that somebody installed by hand without a unit: nothing would start it."""
    unit = facts["units"].get(name, {})
    if not facts["systemd"]:
        problem = f"this host does not run systemd, which is to start {name}"
    elif facts["programs"].get(name) and name in ("caddy", "nginx") and not unit.get("is_there"):
        problem = f"{facts['programs'][name]} is there, but systemd has no {name}.service"
    else:
        return None
    return Step(step, problem=problem, next_step=f"install {name} from its Debian package, or give it a unit")


def _running(name: str, facts: Facts) -> tuple[list[str], list[Action]]:
    unit = facts["units"].get(name, {})
    todo = [word for word, key in (("enable", "enabled"), ("start", "active")) if not unit.get(key)]
    # A package may have started it already: both commands are content with that.
    return ([f"{' and '.join(todo)} {name}"] if todo else []), [run(_SYSTEMCTL, word, name) for word in todo]


def _caddy(want: Want, facts: Facts) -> Step:
    text = facts["files"].get(proxy.CADDYFILE)
    service = want.service(facts)
    line = service["proxy"]["include_line"] if service else f"import {proxy.CADDY_FOLDER}/*.caddy"
    admin = re.search(r"(?m)^\s*admin\s+(\S+)", text or "")
    if admin and admin[1] != proxy.CADDY_ADMIN:
        return Step(
            "proxy",
            problem=f"{proxy.CADDYFILE} says `admin {admin[1]}`; a deploy needs the default, {proxy.CADDY_ADMIN}",
            next_step="take that line away: localhost:2019 is Caddy's default, and reachable from the host alone",
        )
    todo: list[str] = []
    actions: list[Action] = []
    new = text or ""
    if _is_for_everybody(want) and (text is None or proxy.CADDYFILE in facts["unchanged"]):
        todo.append(f"replace Caddy's own page in {proxy.CADDYFILE}")
        new = "# Written by Handrail; what is added here stays.\n"
    if line not in _lines(new):
        todo.append(f"add `{line}` to {proxy.CADDYFILE}")
        new = f"{new}\n" if new and not new.endswith("\n") else new
        new += f"{line}\n"
    if todo:
        check = ["caddy", "adapt", "--config", "{}", "--adapter", "caddyfile"]
        actions.append(write(proxy.CADDYFILE, new, check=check))
    start, starting = _running("caddy", facts)
    actions += starting
    if todo and not any("start" in sentence for sentence in start):
        actions.append(run(_SYSTEMCTL, "reload", "caddy"))
    return Step("proxy", there="caddy", todo="; ".join([*todo, *start]), actions=actions)


def _nginx(want: Want, facts: Facts) -> Step:
    text = facts["files"].get(NGINX_CONF)
    if text is not None and f"{proxy.NGINX_FOLDER}/*.conf" not in text:
        return Step(
            "proxy",
            problem=f"{NGINX_CONF} does not include {proxy.NGINX_FOLDER}/*.conf, where a deploy writes",
            next_step=f"add `include {proxy.NGINX_FOLDER}/*.conf;` to its http block",
        )
    todo: list[str] = []
    actions: list[Action] = []
    link = posixpath.join(posixpath.dirname(NGINX_DEFAULT), facts["links"].get(NGINX_DEFAULT) or ".")
    is_debians = posixpath.normpath(link) == NGINX_AVAILABLE and NGINX_AVAILABLE in facts["unchanged"]
    is_somebodys = not is_debians and _ANSWERS_FIRST.search(facts["files"].get(NGINX_DEFAULT) or "")
    if _is_for_everybody(want) and is_somebodys:
        return Step(
            "proxy",
            problem=f"{NGINX_DEFAULT} is somebody's own and the default server of port 80, so it answers in the app's "
            "place",
            next_step="take the word default_server out of it, or remove it there; or declare a site with a name",
        )
    if _is_for_everybody(want) and (is_debians or text is None):
        todo.append(f"remove {NGINX_DEFAULT}, which would answer in the app's place")
        actions.append(unlink(NGINX_DEFAULT))
    start, starting = _running("nginx", facts)
    actions += starting
    if todo and not any("start" in sentence for sentence in start):
        actions += [run("nginx", "-t"), run(_SYSTEMCTL, "reload", "nginx")]
    return Step("proxy", there="nginx", todo="; ".join([*todo, *start]), actions=actions)


def _lines(text: str | None) -> list[str]:
    return [line.strip() for line in (text or "").splitlines()]


def _is_for_everybody(want: Want) -> bool:
    """Whether the app answers on port 80 for every name, as a web server's own first page does."""
    assert want.target.proxy is not None
    site = parse_site(want.target.proxy.site)
    return not site.name and site.scheme != "https" and (site.port or 80) == 80
