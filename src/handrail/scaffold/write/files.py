"""Every file, in the order in which it is shown."""

from __future__ import annotations

from handrail.checks.lint import WORKFLOWS
from handrail.scaffold.facts import PYTHONS_MEMBER, Facts
from handrail.scaffold.write import contract, entry_files, hooks, ignored, pyproject, workflows
from handrail.scaffold.write.bootstrap import FILE as BOOTSTRAP
from handrail.scaffold.write.bootstrap import bootstrap_text
from handrail.scaffold.write.choices import Choices
from handrail.scaffold.write.drafts import Draft


def drafts(choices: Choices, gitignore: str) -> list[Draft]:
    """Return all files but pyproject.toml, which is merged.

    Args:
        gitignore: what .gitignore says outside of Handrail's block.
    """
    facts = choices.facts
    found = [
        Draft(entry_files.TASKS, "seeded", entry_files.TASKS_TEXT, note=entry_files.TASKS_NOTE),
        Draft(entry_files.NOXFILE, "seeded", entry_files.NOXFILE_TEXT, note=entry_files.NOXFILE_NOTE),
    ]
    if choices.is_service or facts.variables:
        found.append(Draft(contract.CONTRACT, "seeded", contract.contract_text(choices)))
    if choices.is_service:
        found.append(Draft(contract.SANDBOX, "seeded", contract.sandbox_text(choices)))
        if pyproject.needs_deploy_requirements(choices):
            found.append(Draft(pyproject.DEPLOY_REQUIREMENTS, "seeded", pyproject.deploy_requirements(choices)))
    if pyproject.needs_pythons_member(choices):
        found.append(Draft(f"{PYTHONS_MEMBER}/{pyproject.FILE}", "seeded", pyproject.pythons_member(choices)))
    if facts.tests.runner == "none" and facts.package.imports:
        found.append(Draft(entry_files.SMOKE, "seeded", _smoke(facts)))
    return [*found, *managed(choices, gitignore)]


def _smoke(facts: Facts) -> str:
    needs_variables = any(not variable.has_default for variable in facts.variables)
    return entry_files.smoke_test_text(facts.package.imports[0], needs_variables=needs_variables)


def managed(choices: Choices, gitignore: str) -> list[Draft]:
    """Return the files and blocks that stay Handrail's."""
    found = [
        Draft(hooks.FILE, "block", hooks.hooks_block(choices)),
        Draft(ignored.FILE, "block", ignored.ignored_block(gitignore)),
        Draft(BOOTSTRAP, "managed", bootstrap_text(), executable=True),
        Draft(f"{WORKFLOWS}/{choices.ci}", "managed", workflows.ci_text(choices)),
    ]
    if choices.is_service:
        found.append(Draft(f"{WORKFLOWS}/{choices.deploy}", "managed", workflows.deploy_text(choices)))
    return found
