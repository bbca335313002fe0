"""The two workflows: thin, so that CI runs what a laptop runs."""

from __future__ import annotations

from pathlib import Path

from handrail.scaffold.write.choices import Choices

_TEMPLATES = Path(__file__).parent / "templates"


def ci_text(choices: Choices) -> str:
    """Return the workflow that proves every push and pull request."""
    text = (_TEMPLATES / "ci.yml").read_text("utf-8")
    return text.replace("branches: [main]", f"branches: [{choices.branch}]")


def deploy_text(choices: Choices) -> str:
    """Return the workflow that deploys, started by hand."""
    return (_TEMPLATES / "deploy.yml").read_text("utf-8")
