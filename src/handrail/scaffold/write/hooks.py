"""The hooks for pre-commit: local ones that call the locked tools, so that hook, task and CI share one version."""

from __future__ import annotations

from handrail.checks.lint import ERRORS
from handrail.scaffold.write.choices import Choices

FILE = ".pre-commit-config.yaml"

_HOOK = """\
      - id: {id}
        name: {name}
        language: system
        entry: {entry}
"""


def hooks_block(choices: Choices) -> str:
    """Return one item of the list ``repos``, indented by two."""
    rules = f" {' '.join(ERRORS)}" if choices.lint == "errors" else ""
    fix = "" if choices.lint == "errors" else " --fix"
    text = "  - repo: local\n    hooks:\n"
    text += _HOOK.format(id="ruff-check", name="ruff check", entry=f".venv/bin/ruff check --force-exclude{rules}{fix}")
    text += "        types_or: [python, pyi]\n"
    if choices.lint == "all":
        text += _HOOK.format(id="ruff-format", name="ruff format", entry=".venv/bin/ruff format --force-exclude")
        text += "        types_or: [python, pyi]\n"
    pattern = "|".join(path.replace(".", r"\.") for path in choices.workflows)
    text += _HOOK.format(id="workflows", name="workflow safety", entry=".venv/bin/zizmor --offline --no-progress")
    return text + f"        files: ^({pattern})$\n"
