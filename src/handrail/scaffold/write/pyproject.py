"""pyproject.toml: what is missing is added to what is there; every comment, blank line and order stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handrail.scaffold.detect.server import requirement_name
from handrail.scaffold.facts import PYTHONS_MEMBER, Facts
from handrail.scaffold.write.choices import Choices
from handrail.scaffold.write.contract import values_for_tests
from handrail.scaffold.write.requirements import development_lines, server_line
from handrail.scaffold.write.service import manage_command, service_table

if TYPE_CHECKING:
    import tomlkit

FILE = "pyproject.toml"
DEPLOY_REQUIREMENTS = "requirements-deploy.txt"
_SANDBOX = {
    "hosts": ["sandbox"],
    "manager": "supervisor",
    "ssh_config": ".handrail/sandbox/ssh_config",
    "known_hosts": ".handrail/sandbox/known_hosts",
}


def merged_pyproject(text: str, choices: Choices) -> str:
    """Return ``text``, which may be empty, with everything that Handrail needs. Twice gives the same as once."""
    import tomlkit

    document = tomlkit.parse(text)
    facts = choices.facts
    if facts.backend == "setup.py" and "build-system" not in document:
        _add_build_system(document)
    if server_line(choices) and _can_add_dependency(choices):
        _extend(document["project"]["dependencies"], [server_line(choices)])
    _add_group(document, choices)
    # New tables of [tool] go to the end: tomlkit would put them behind the first ones, in the middle of the file.
    end = tomlkit.document()
    uv = document if "uv" in document.get("tool", {}) else end
    if facts.old_pythons:
        _limit_lock(uv)
    if not facts.has_project_table:
        _add_workspace(uv, choices)
    if "handrail" not in document.get("tool", {}):
        _append(end, _handrail_tables(choices))
    return _joined(tomlkit.dumps(document), tomlkit.dumps(end))


def needs_deploy_requirements(choices: Choices) -> bool:
    """Return whether what a release installs has to stand in a requirements file of its own.

    uv's lock of a project whose ``[project]`` table does not list that holds the tools alone.
    """
    facts = choices.facts
    if not choices.is_service:
        return False
    unlisted = not _is_locked(facts) and not facts.requirements
    return unlisted or (bool(server_line(choices)) and not _can_add_dependency(choices))


def deploy_requirements(choices: Choices) -> str:
    """Return the text of that file: what the program needs, and its server."""
    facts = choices.facts
    base = [f"-r {facts.requirements}"] if facts.requirements else list(facts.dependencies)
    lines = ["# What a release installs: the program's own requirements, and its server.", *base, server_line(choices)]
    return "".join(f"{line}\n" for line in lines if line)


def needs_pythons_member(choices: Choices) -> bool:
    """Return whether uv has to be told for which Pythons to lock.

    It reads that from ``[project]`` tables alone. Where there is none, the lock is for the Python that made it and
    newer ones, and is refused as outdated by every other one: on a colleague's machine, and in CI.
    """
    return not choices.facts.has_project_table and not choices.facts.has_members


def pythons_member(choices: Choices) -> str:
    """Return the text of the member's pyproject.toml."""
    return (
        "# Tells uv for which Pythons to lock: it reads that from [project] alone, and ../../pyproject.toml has none.\n"
        f'[project]\nname = "{choices.app}-pythons"\nversion = "0"\n'
        f'requires-python = ">={choices.facts.pythons[0]}"\n\n[tool.uv]\npackage = false\n'
    )


def _can_add_dependency(choices: Choices) -> bool:
    return choices.facts.lists_dependencies


def _is_locked(facts: Facts) -> bool:
    """Return whether uv.lock holds what the program needs: uv reads that from ``[project]`` alone."""
    is_said = facts.lists_dependencies or facts.dynamic_dependencies
    return facts.has_project_table and (is_said or not facts.dependencies)


def _add_build_system(document: tomlkit.TOMLDocument) -> None:
    import tomlkit

    table = tomlkit.table()
    table.add(tomlkit.comment("What pip does with a setup.py where this table is missing."))
    table.add("requires", ["setuptools"])
    table.add("build-backend", "setuptools.build_meta:__legacy__")
    document.add("build-system", table)


def _add_group(document: Any, choices: Choices) -> None:
    """Add what is missing to the group ``dev``, which uv installs without being asked."""
    import tomlkit

    if "dependency-groups" not in document:
        document.add("dependency-groups", tomlkit.table())
    groups = document["dependency-groups"]
    if "dev" not in groups:
        groups.add("dev", tomlkit.array().multiline(True))
    included = {item["include-group"] for item in groups["dev"] if isinstance(item, dict)}
    known = {requirement_name(str(line)) for name in ("dev", *choices.facts.tests.groups)
             for line in groups.get(name, []) if isinstance(line, str)}  # fmt: skip
    lines = [line for line in development_lines(choices) if requirement_name(line) not in known]
    if choices.facts.package.name and not choices.facts.has_project_table and choices.facts.backend != "none":
        own = choices.facts.package.name
        lines += [own] if requirement_name(own) not in known else []
    _extend(groups["dev"], lines)
    for name in choices.facts.tests.groups:
        if name not in included and name != "dev":
            table = tomlkit.inline_table()
            table.append("include-group", name)
            groups["dev"].append(table)


def _limit_lock(document: Any) -> None:
    """Let uv lock for Pythons that tools of today run on: for every older one that is supported, none may exist."""
    uv = _table(document, "tool", "uv")
    if "environments" not in uv:
        # Handrail does not run on Windows, and uv would look for wheels for it.
        uv["environments"] = ["python_version >= '3.10' and sys_platform != 'win32'"]


def _add_workspace(document: Any, choices: Choices) -> None:
    """Let uv lock the groups of a project without a ``[project]`` table, and install the project where it can."""
    workspace = _table(document, "tool", "uv", "workspace")
    if "members" not in workspace:
        workspace["members"] = [PYTHONS_MEMBER]
    if choices.facts.backend != "none":
        sources = _table(document, "tool", "uv", "sources")
        if choices.facts.package.name not in sources:
            sources[choices.facts.package.name] = _inline({"path": ".", "editable": True})


def _handrail_tables(choices: Choices) -> dict[str, Any]:
    """Return what stands under ``[tool.handrail]``."""
    facts = choices.facts
    tables: dict[str, Any] = {"app": choices.app}
    if facts.web is not None:
        tables["service"] = service_table(choices)
        build: dict[str, Any] = {}
        if needs_deploy_requirements(choices):
            build["requirements"] = DEPLOY_REQUIREMENTS
        elif facts.requirements and not _is_locked(facts):
            # uv.lock holds the tools alone, so it must not be taken for what a release needs.
            build["requirements"] = facts.requirements
        if facts.web.manage and facts.backend != "none":
            build["include"] = [facts.web.folder or facts.web.manage]
        if build:
            tables["build"] = build
    checks: dict[str, Any] = {"pythons": list(facts.pythons), "lint": choices.lint, "types": choices.types}
    if choices.parity == "error":
        checks["parity"] = choices.parity
    package = facts.package.imports[0] if facts.package.imports else ""
    if package and package != choices.app.replace("-", "_"):
        checks["coverage_package"] = package
    if facts.tests.runner == "django" and facts.web is not None:
        checks["test"] = manage_command(facts.web, "test")
    if variables := values_for_tests(choices):
        checks["test_variables"] = variables
    if facts.existing.workflows:
        checks["workflows"] = choices.workflows
    tables["checks"] = checks
    if facts.existing.compose_is_for_development:
        tables["setup"] = {"compose_file": facts.existing.compose}
    if facts.web is not None:
        tables["environments"] = {"sandbox": _SANDBOX}
    return tables


def _append(document: Any, tables: dict[str, Any]) -> None:
    """Append ``[tool.handrail]`` and what is below it as tables of their own, at the end."""
    import tomlkit

    own = tomlkit.table()
    own.add(tomlkit.comment("Every key is explained in Handrail's docs/configuration.md."))
    for key, value in tables.items():
        if not isinstance(value, dict):
            own.add(key, value)
    for key, value in tables.items():
        if isinstance(value, dict):
            own.add(key, _as_table(value))
    if "tool" not in document:
        document.add("tool", tomlkit.table(is_super_table=True))
    document["tool"]["handrail"] = own


def _joined(text: str, more: str) -> str:
    """Return both texts with one empty line between them."""
    return f"{text.rstrip()}\n\n{more.lstrip()}" if text.strip() and more.strip() else text + more


def _as_table(values: dict[str, Any]) -> Any:
    import tomlkit

    table = tomlkit.table(is_super_table=all(isinstance(value, dict) for value in values.values()))
    for key, value in values.items():
        table.add(key, _as_table(value) if isinstance(value, dict) else value)
    return table


def _inline(values: dict[str, Any]) -> Any:
    import tomlkit

    table = tomlkit.inline_table()
    table.update(values)
    return table


def _table(document: Any, *path: str) -> Any:
    """Return the table at ``path``, made where it is missing."""
    import tomlkit

    for index, key in enumerate(path):
        if key not in document:
            document[key] = tomlkit.table(is_super_table=index < len(path) - 1)
        document = document[key]
    return document


def _extend(array: Any, lines: list[str]) -> None:
    """Add ``lines`` to an array, in its own style: one a line where it has several lines."""
    is_new = not len(array)
    is_long = "\n" in array.as_string() or is_new
    for line in lines:
        if is_long:
            array.add_line(line)
        else:
            array.append(line)
    if lines and is_new:
        array.add_line(indent="")
