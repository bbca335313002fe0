"""env/: the contract out of what the code reads, and values for the sandbox."""

from __future__ import annotations

import secrets
from pathlib import PurePosixPath

from handrail.scaffold.facts import CodeVariable
from handrail.scaffold.write.choices import Choices

CONTRACT = "env/example.env"
SANDBOX = "env/sandbox.env"

_HEAD = """\
# The contract: every variable of this project, its type, who needs it and whether it is a secret.
# Values belong in env/<environment>.env, secrets in env/<environment>.secrets.env (never committed).
"""
_SANDBOX_HEAD = """\
# The sandbox runs on this machine alone and is thrown away, so even its secrets may stand here.
"""


def contract_text(choices: Choices) -> str:
    """Return env/example.env."""
    parts = [_HEAD]
    for variable in contract_variables(choices):
        needed = "nothing" if variable.has_default else "app"
        secret = "yes" if variable.secret else "no"
        where = f"# Read in {variable.file}:{variable.line}.\n" if variable.file else "# Django's settings module.\n"
        parts.append(
            f"{where}# type: {variable.type}, needed by: {needed}, secret: {secret}\n"
            f"{variable.name}={_quoted(variable.default)}\n"
        )
    return "\n".join(parts)


def sandbox_text(choices: Choices) -> str:
    """Return env/sandbox.env: a value for each variable that the service cannot start without."""
    lines = [_SANDBOX_HEAD]
    for variable in contract_variables(choices):
        if not variable.has_default and not variable.default:
            lines.append(f"{variable.name}={_quoted(sandbox_value(variable))}\n")
    return "".join(lines)


def contract_variables(choices: Choices) -> list[CodeVariable]:
    """Return the variables of the contract: what the code reads, and Django's settings where nothing names them."""
    found = [variable for variable in choices.facts.variables if variable.name.isidentifier()]
    web = choices.facts.web
    if web is not None and web.framework == "django" and not web.is_settings_default:
        found.append(CodeVariable("DJANGO_SETTINGS_MODULE", default=web.settings))
    return found


def sandbox_value(variable: CodeVariable, what: str = "sandbox") -> str:
    """Return a value of the right type that is good enough on a machine of one's own.

    Args:
        what: what it is for: a secret of the sandbox is random, and one that stands in pyproject.toml is none.
    """
    if "DATABASE" in variable.name and variable.name.endswith(("URL", "URI")):
        return f"sqlite:///{what}.sqlite3"
    if variable.type.startswith("choice("):
        return variable.type[7:-1].split("|")[0]
    plain = {
        "int": "1",
        "bool": "false",
        "port": "8080",
        "url": "http://127.0.0.1/",
        "host": "127.0.0.1",
        "path": "data",
        "email": "nobody@example.org",
    }
    if variable.type in plain:
        return plain[variable.type]
    if variable.secret:
        return f"only-for-the-{what}-" + (secrets.token_hex(16) if what == "sandbox" else "and-no-secret-at-all")
    return what


def values_for_tests(choices: Choices) -> dict[str, str]:
    """Return a value for each variable without which the application cannot be imported, and so not be tested.

    Those are read beside the entry point, or beside Django's settings; what is read deeper may be what a test leaves
    out on purpose.
    """
    web = choices.facts.web
    if web is None or web.entry is None:
        return {}
    folders = {str(PurePosixPath(web.entry.file).parent)}
    if web.settings:
        package = web.settings.rpartition(".")[0].replace(".", "/")
        folders.add(str(PurePosixPath(choices.facts.package.source, web.folder, package)))
    needed = [variable for variable in contract_variables(choices) if not variable.has_default and not variable.default]
    return {
        variable.name: sandbox_value(variable, "tests")
        for variable in needed
        if str(PurePosixPath(variable.file).parent) in folders
    }


def _quoted(text: str) -> str:
    if not text or all(character.isalnum() or character in "-_./:@,+*%=" for character in text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
