"""The web application: which framework, and where its entry point is."""

from __future__ import annotations

from dataclasses import replace

from handrail.scaffold.detect.application import find_entries
from handrail.scaffold.detect.declared import Declared
from handrail.scaffold.detect.django import find_django
from handrail.scaffold.detect.health import find_health
from handrail.scaffold.detect.server import find_server
from handrail.scaffold.detect.sources import Sources
from handrail.scaffold.facts import Entry, Guess, Package, Web


def find_web(sources: Sources, declared: Declared, package: Package) -> tuple[Web | None, list[Entry], list[Guess]]:
    """Return the web application, every other entry point that it could be, and what was not certain.

    None means a library or a command-line tool: it gets everything but deploys.
    """
    web, guesses = find_django(sources, package)
    candidates: list[Entry] = []
    if web is None:
        found = find_entries(sources, package)
        if not found:
            return None, [], []
        candidates = [entry for entry, _ in found]
        entry, framework = found[0]
        folder = "" if package.source else _folder_of(entry)
        web = Web(framework, entry, is_async=framework in ("fastapi", "starlette"), folder=folder)
        if len(found) > 1:
            others = ", ".join(other.target for other, _ in found[1:4])
            guesses.append(Guess("application", entry.target, f"there is also {others}"))
    health = find_health(sources)
    if not health and web.framework == "fastapi" and web.entry and "openapi_url" not in sources.text(web.entry.file):
        health = "/openapi.json"
        guesses.append(Guess("health check", health, "FastAPI answers it; a route of your own can tell more"))
    server = find_server(declared, is_async=web.is_async)
    web = replace(web, health=health, server=server)
    if not health:
        guesses.append(
            Guess("health check", "", "no path looks like one: a deploy then only proves that the process runs")
        )
    return web, candidates[1:], guesses


def _folder_of(entry: Entry) -> str:
    """Return the folder that the entry's module is imported from: ``app`` for ``app/main.py`` without packages."""
    depth = entry.module.count(".") + 1
    parts = entry.file.removesuffix("/__init__.py").removesuffix(".py").split("/")
    return "/".join(parts[: len(parts) - depth])
