from __future__ import annotations

from pathlib import Path

import pytest

from handrail.tasks.rerun import ci_line, laptop_line, planned_line

pytestmark = pytest.mark.unit


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "ci.yml").write_text("on: [push]\njobs:\n  a:\n    steps:\n      - run: inv check\n")
    (folder / "deploy.yml").write_text(
        "on:\n  workflow_dispatch:\n    inputs:\n      environment:\n        type: string\n"
        'jobs:\n  a:\n    steps:\n      - run: uv run inv deploy --env "$ENVIRONMENT"\n'
    )
    return tmp_path


def test_the_line_for_a_laptop_keeps_its_quoting() -> None:
    assert laptop_line(["/venv/bin/inv", "test", "--", "-k", "a or b"]) == "inv test -- -k 'a or b'"


def test_what_a_plan_shows_is_done_by_the_same_line_without_it() -> None:
    words = ["deploy", "-e", "test", "--hosts", "a b", "--hold", "--plan", "--json"]
    assert planned_line(["/venv/bin/inv", *words]) == "inv deploy -e test --hosts 'a b' --hold"


def test_in_github_actions_the_run_itself_is_run_again(project: Path) -> None:
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "77", "GITHUB_REPOSITORY": "acme/shop"}
    assert ci_line("deploy", [], project, environ) == "gh run rerun 77 --failed --repo acme/shop"


@pytest.mark.parametrize("typed", [["--env", "staging"], ["--env=staging"], ["-e", "staging"]])
def test_a_workflow_that_can_be_started_by_hand_is_started_with_the_environment(
    project: Path, typed: list[str]
) -> None:
    line = ci_line("deploy", ["inv", "deploy", *typed], project, {})
    assert line == "gh workflow run deploy.yml -f environment=staging"


def test_a_workflow_that_only_pushes_start_is_run_again(project: Path) -> None:
    assert ci_line("check", [], project, {}) == "gh run rerun --failed"


@pytest.mark.parametrize("name", ["logs", "chec", "dep"])
def test_a_task_that_no_workflow_runs_has_no_line(project: Path, name: str) -> None:
    assert ci_line(name, [], project, {}) == ""


def test_a_workflow_that_deploys_is_no_way_to_see_a_check_again(tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "deploy.yml").write_text("on: workflow_dispatch\n# runs:\n- run: inv check\n- run: inv deploy --yes\n")
    assert ci_line("check", [], tmp_path, {}) == ""
    (folder / "handrail-ci.yml").write_text("on: push\n# runs:\n- run: inv check --ci-results\n")
    assert ci_line("check", [], tmp_path, {}) == "gh run rerun --failed"


def test_a_workflow_that_cannot_be_read_is_passed_over(project: Path) -> None:
    folder = project / ".github" / "workflows"
    (folder / "a-link.yml").symlink_to("nowhere.yml")
    (folder / "b-folder.yml").mkdir()
    assert ci_line("check", [], project, {}) == "gh run rerun --failed"
    assert ci_line("logs", [], project, {}) == ""
