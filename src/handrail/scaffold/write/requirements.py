"""What the project's development environment needs so that Handrail's tasks run in it."""

from __future__ import annotations

from handrail.scaffold.detect.server import requirement_name
from handrail.scaffold.write.choices import Choices
from handrail.scaffold.write.service import default_server

_MARKER = "python_version >= '3.10'"


def development_lines(choices: Choices) -> list[str]:
    """Return requirement lines for the group ``dev``, Handrail first."""
    facts = choices.facts
    tests = facts.tests
    lines = [handrail_line(choices)]
    if tests.runner in ("pytest", "unittest", "none"):
        lines.append("pytest")
    lines.append(_pinned("ruff", choices))
    if choices.types != "off":
        lines.append(_pinned("mypy", choices))
    lines.append("zizmor")
    # What the project itself says of a tool counts more than the bare name.
    own = {requirement_name(line): line for line in tests.needs}
    lines = [own.pop(requirement_name(line), line) for line in lines]
    lines += own.values()
    # Handrail and its tools do not run on them, and uv looks for versions for every Python that is supported.
    return [_for_new_pythons(line) for line in lines] if facts.old_pythons else lines


def handrail_line(choices: Choices) -> str:
    """Return the requirement for Handrail itself."""
    extra = "[sandbox]" if choices.is_service else ""
    if choices.source:
        return f"handrail{extra} @ {choices.source}"
    from handrail import __version__

    return f"handrail{extra}>={__version__}"


def server_line(choices: Choices) -> str:
    """Return the requirement for the web server that the project lacks; empty where it has one."""
    web = choices.facts.web
    if web is None or web.server:
        return ""
    return default_server(web)


def _pinned(tool: str, choices: Choices) -> str:
    version = choices.facts.style.pins.get(tool)
    return f"{tool}=={version}" if version else tool


def _for_new_pythons(line: str) -> str:
    requirement, semicolon, marker = line.partition(";")
    # Without the space before it the semicolon would belong to a URL.
    gap = " " if " @ " in requirement else ""
    condition = f"({marker.strip()}) and {_MARKER}" if semicolon else _MARKER
    return f"{requirement.rstrip()}{gap}; {condition}"
