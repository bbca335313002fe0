"""All of it: what one repository is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from handrail.scaffold.detect.declared import lines, read_declared, table
from handrail.scaffold.detect.existing import find_existing
from handrail.scaffold.detect.lock import find_lock_kind
from handrail.scaffold.detect.package import find_backend, find_build_system, find_package
from handrail.scaffold.detect.pythons import supported_pythons, supports_older
from handrail.scaffold.detect.server import find_server
from handrail.scaffold.detect.sources import Sources
from handrail.scaffold.detect.style import find_style
from handrail.scaffold.detect.tests import find_tests, requirement_lines
from handrail.scaffold.detect.variables import find_variables
from handrail.scaffold.detect.web import find_web
from handrail.scaffold.facts import PYTHONS_MEMBER, Entry, Facts, Guess


def look_at(root: Path) -> tuple[Facts, list[Entry]]:
    """Return what is in ``root``, and further entry points that the web application could have.

    Raises:
        ConfigError: pyproject.toml is not TOML.
    """
    sources = Sources(root)
    declared = read_declared(sources)
    package = find_package(sources, declared)
    lock, requirements = find_lock_kind(root)
    web, others, guesses = find_web(sources, declared, package)
    listed = tuple(requirement_lines(sources.text(requirements))) if requirements else ()
    if web is not None and not web.server:
        web = replace(web, server=find_server(declared, is_async=web.is_async, lines=listed))
    if not declared.name:
        guesses.insert(0, Guess("name", package.name, "the folder is called so"))
    facts = Facts(
        package=package,
        backend=find_backend(declared),
        build_system=find_build_system(declared),
        has_project_table=bool(declared.project),
        has_requires_python="requires-python" in declared.project,
        has_members=bool(set(lines(table(declared.tools, "uv", "workspace").get("members"))) - {PYTHONS_MEMBER}),
        lists_dependencies=bool(lines(declared.project.get("dependencies"))),
        dynamic_dependencies="dependencies" in lines(declared.project.get("dynamic")),
        dependencies=tuple(declared.dependencies) or listed,
        lock=lock,
        requirements=requirements,
        pythons=supported_pythons(declared),
        old_pythons=supports_older(declared),
        tests=find_tests(sources, declared, web.manage if web else ""),
        style=find_style(sources, declared),
        web=web,
        variables=find_variables(sources),
        existing=find_existing(root, package.name),
        guesses=tuple(guesses),
    )
    return facts, others
