"""This repository's own workflows stay thin."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

import handrail
from handrail.checks.check import ORDER
from handrail.config.load import load_project

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def jobs() -> list[Any]:
    found = []
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text("utf-8"))["jobs"].items():
            found.append(pytest.param(job, id=f"{path.stem}-{name}"))
    return found


def known_tasks() -> set[str]:
    return set(handrail.collection().task_names)


@pytest.mark.parametrize("job", jobs())
def test_each_run_step_is_the_bootstrap_or_one_known_task(job: dict[str, Any]) -> None:
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands, "a job without a command"
    for command in commands:
        assert "\n" not in command.strip()
        assert "${{" not in command, "an expression in a command is an injection"
        words = shlex.split(command)
        if words[0] == "scripts/bootstrap":
            continue
        assert words[0] == ".venv/bin/inv"
        assert words[1] in known_tasks()


@pytest.mark.parametrize("job", jobs())
def test_each_action_is_pinned_and_each_job_ends(job: dict[str, Any]) -> None:
    for step in job["steps"]:
        if "uses" in step:
            assert PINNED.fullmatch(step["uses"])
    assert 1 <= job["timeout-minutes"] <= 60


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_and_does_not_run_twice(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]


def test_ci_runs_what_inv_check_runs_and_in_its_order() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    assert tuple(workflow["jobs"]) == (*ORDER, "matrix", "check")
    assert tuple(workflow["jobs"]["check"]["needs"]) == (*ORDER, "matrix")
    pythons = load_project(ROOT).checks.pythons
    assert workflow["jobs"]["matrix"]["strategy"]["matrix"]["python"] == list(pythons)
    assert workflow["jobs"]["check"]["if"] == "always()"
