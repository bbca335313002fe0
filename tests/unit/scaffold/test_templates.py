"""What others get is what this repository uses itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from handrail.scaffold.facts import Facts, Package
from handrail.scaffold.write.bootstrap import bootstrap_text
from handrail.scaffold.write.choices import Choices
from handrail.scaffold.write.workflows import ci_text, deploy_text

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[3]
CHOICES = Choices(Facts(Package("shop")), "shop", is_service=True, branch="trunk")


def test_the_bootstrap_script_is_this_repositorys_own() -> None:
    assert bootstrap_text() == (ROOT / "scripts" / "bootstrap").read_text()


@pytest.mark.parametrize("name", ["ci.yml", "deploy.yml"])
def test_actions_are_pinned_to_the_commits_that_this_repository_uses(name: str) -> None:
    uses = re.compile(r"uses: (\S+@[0-9a-f]{40}) # v[0-9.]+")
    text = (ci_text if name == "ci.yml" else deploy_text)(CHOICES)
    own = set(uses.findall((ROOT / ".github" / "workflows" / name).read_text()))
    assert set(uses.findall(text)) <= own
    assert text.count("uses:") == len(uses.findall(text))


def test_every_step_of_the_workflows_is_one_task() -> None:
    steps = re.findall(r"- run: (.+)", ci_text(CHOICES) + deploy_text(CHOICES))
    assert all(step == "scripts/bootstrap" or step.startswith(".venv/bin/inv ") for step in steps)


def test_ci_watches_the_projects_main_branch() -> None:
    assert "branches: [trunk]" in ci_text(CHOICES)
