"""What was decided for a repository, out of the facts and the user's answers, or out of what it declares by now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from handrail.checks.lint import WORKFLOWS
from handrail.scaffold.facts import Facts, Package, Style

if TYPE_CHECKING:
    from handrail.config.schema import Project
    from handrail.scaffold.ledger import Ledger


@dataclass(frozen=True)
class Choices:
    """Everything that the writers need.

    Attributes:
        app: the name on hosts.
        is_service: it is deployed; a library is not.
        lint, types: how much ruff and mypy judge, as in ``[tool.handrail.checks]``.
        parity: what `inv lint` makes of differences between laptop, hooks and CI.
        branch: the branch that CI watches.
        ci, deploy: file names of the workflows below .github/workflows.
        health: a path to ask; empty: only the process is checked.
        source: where Handrail comes from: empty for a package index, else a URL or path for ``handrail @ …``.
    """

    facts: Facts
    app: str
    is_service: bool = False
    lint: str = "all"
    types: str = "strict"
    parity: str = "warn"
    branch: str = "main"
    ci: str = "ci.yml"
    deploy: str = "deploy.yml"
    health: str = ""
    source: str = ""

    @property
    def workflows(self) -> list[str]:
        """The paths of the workflow files that are Handrail's."""
        names = [self.ci, self.deploy] if self.is_service else [self.ci]
        return [f"{WORKFLOWS}/{name}" for name in names]


def choose(
    facts: Facts, ledger: Ledger, *, app: str, health: str, source: str, project: Project | None = None
) -> Choices:
    """Return the choices for a repository: no check is stricter than it is itself.

    Args:
        project: what ``[tool.handrail]`` declares already, which counts.
    """
    style = facts.style
    made = ledger.choices
    return Choices(
        facts,
        app,
        is_service=project.service is not None if project else facts.web is not None,
        lint=project.checks.lint if project else _lint(style),
        types=project.checks.types if project else _types(style),
        branch=made.get("branch") or facts.existing.branch,
        ci=made.get("ci") or _free("ci.yml", facts),
        deploy=made.get("deploy") or _free("deploy.yml", facts),
        health=health,
        source=source,
    )


def chosen(project: Project, ledger: Ledger) -> Choices:
    """Return the choices of a repository that was adopted before: what it declares now counts."""
    return Choices(
        Facts(Package(project.app)),
        project.app,
        is_service=project.service is not None,
        lint=project.checks.lint,
        types=project.checks.types,
        branch=ledger.choices.get("branch", "main"),
        ci=ledger.choices.get("ci", "ci.yml"),
        deploy=ledger.choices.get("deploy", "deploy.yml"),
    )


def _lint(style: Style) -> str:
    if not style.has_ruff:
        return "errors"
    return "all" if style.formats else "check"


def _types(style: Style) -> str:
    return "strict" if style.is_strict else "project" if style.has_mypy else "off"


def _free(name: str, facts: Facts) -> str:
    """Return a name for a workflow that no file of the project's own has."""
    taken = {existing.rpartition(".")[0] for existing in facts.existing.workflows}
    return name if name.rpartition(".")[0] not in taken else f"handrail-{name}"
