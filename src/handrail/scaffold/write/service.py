"""The process that serves the application, and what runs before it."""

from __future__ import annotations

from typing import Any

from handrail.scaffold.facts import Entry, Web
from handrail.scaffold.write.choices import Choices

_BIND = {
    "gunicorn": "gunicorn {target} --bind 127.0.0.1:{{port}}",
    "waitress": "waitress-serve --listen=127.0.0.1:{{port}} {target}",
    "uvicorn": "uvicorn {target} --host 127.0.0.1 --port {{port}}",
    "hypercorn": "hypercorn {target} --bind 127.0.0.1:{{port}}",
    "daphne": "daphne -b 127.0.0.1 -p {{port}} {target}",
    "granian": "granian {target} --host 127.0.0.1 --port {{port}} --interface {interface}",
}
_FOLDER = {"gunicorn": "--chdir", "uvicorn": "--app-dir", "granian": "--working-dir"}


def service_table(choices: Choices) -> dict[str, Any]:
    """Return ``[tool.handrail.service]``; AssertionError for a library."""
    web = choices.facts.web
    assert web is not None
    assert web.entry is not None
    table: dict[str, Any] = {"command": serve_command(web, web.entry)}
    if choices.health:
        table["health"] = choices.health
    if web.framework == "django":
        table["migrate"] = manage_command(web, "migrate --noinput")
    if web.database:
        table["shared"] = [web.database]
    return table


def default_server(web: Web) -> str:
    """Return the server that a project gets which depends on none."""
    return "uvicorn" if web.is_async else "gunicorn"


def serve_command(web: Web, entry: Entry) -> str:
    """Return the command line that serves the application on ``{port}`` of the loopback."""
    server = web.server or default_server(web)
    target = entry.target
    if entry.is_factory:
        target = f'"{target}()"' if server == "gunicorn" else f"{target} --factory" if server == "uvicorn" else target
        if server == "waitress":
            target = f"--call {entry.target}"
    line = _BIND[server].format(target=target, interface="asgi" if web.is_async else "wsgi")
    if web.folder and server in _FOLDER:
        line += f" {_FOLDER[server]} {web.folder}"
    return line


def manage_command(web: Web, words: str) -> str:
    """Return the command line of one of Django's management commands."""
    return f"python {web.manage} {words}" if web.manage else f"python -m django {words}"
