from __future__ import annotations

from pathlib import Path

import pytest

from handrail.checks.findings import parse_findings
from handrail.checks.lint import lint_checks, run_lint
from handrail.checks.tools import ToolCheck, joined, output_lines, run_tool
from handrail.checks.typecheck import typecheck_check
from handrail.checks.verdict import Finding, Verdict
from handrail.config.schema import Checks, Project
from handrail.errors import ConfigError
from handrail.testing import FakeRunner

pytestmark = pytest.mark.unit


def names(root: Path) -> list[str]:
    return [check.tool for check in lint_checks(root, Checks())]


def test_a_project_without_workflows_and_contracts_is_checked_by_ruff_alone(tmp_path: Path) -> None:
    assert names(tmp_path) == ["ruff", "ruff"]


def test_workflows_and_import_contracts_are_checked_where_there_are_any(tmp_path: Path) -> None:
    (tmp_path / ".importlinter").write_text("[importlinter]\n")
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (workflows / "ci.yml").write_text("on: push\n")
    assert names(tmp_path) == ["ruff", "ruff", "lint-imports", "zizmor"]
    assert "--offline" in lint_checks(tmp_path, Checks())[-1].args


def test_a_declared_workflow_that_does_not_exist_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.handrail]\napp = "shop"\nchecks.workflows = [\n  "ci/nope.yml",\n]\n'
    )
    with pytest.raises(ConfigError, match=r"^pyproject.toml:\d: workflows names ci/nope.yml, which does not exist"):
        lint_checks(tmp_path, Checks(workflows=["ci/nope.yml"]))


def test_contracts_may_stand_in_pyproject_too(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.importlinter]\nroot_package = "shop"\n')
    assert "lint-imports" in names(tmp_path)


def test_only_fix_lets_ruff_write(tmp_path: Path) -> None:
    style, form = lint_checks(tmp_path, Checks())
    assert "--fix" not in style.args
    assert "--check" in form.args
    style, form = lint_checks(tmp_path, Checks(), fix=True)
    assert "--fix" in style.args
    assert "--check" not in form.args


def test_each_tool_gives_a_verdict_with_its_findings(tmp_path: Path) -> None:
    runner = FakeRunner()
    runner.answer("ruff", "check", stdout="src/a.py:3:1: F401 unused\n", returncode=1)
    style, form = run_lint(tmp_path, Project(app="shop", checks=Checks(parity="off")), runner)
    assert (style.state, style.remark) == ("failed", "1 finding")
    assert style.findings == (Finding("F401 unused", "src/a.py", 3),)
    assert form.is_green
    assert all(call.cwd == tmp_path for call in runner.calls)


def test_a_tool_that_is_not_installed_has_failed_and_says_how_to_get_it(tmp_path: Path) -> None:
    verdict = run_tool(ToolCheck("x", "no-such-tool", (), "no-such-package"), tmp_path, FakeRunner())
    assert verdict.state == "failed"
    assert "uv add --dev no-such-package" in verdict.remark


def test_a_tool_killed_by_a_signal_is_named_as_such(tmp_path: Path) -> None:
    runner = FakeRunner()
    runner.answer("ruff", returncode=-9)
    assert run_tool(ToolCheck("style", "ruff"), tmp_path, runner).remark == "signal 9"


def test_several_verdicts_join_into_one_that_is_red_when_any_is() -> None:
    red = Verdict("format", "failed", 1.0, "ruff format", "2 findings", ("would reformat a.py",))
    verdict = joined("lint", [Verdict("style", "passed", 2.0), red], "inv lint")
    assert (verdict.state, verdict.seconds, verdict.remark) == ("failed", 3.0, "format: 2 findings")
    assert verdict.lines == ("$ ruff format", "would reformat a.py")
    assert joined("lint", [Verdict("style", "passed")], "inv lint").is_green


def test_blank_lines_around_an_output_are_not_shown() -> None:
    assert output_lines("\n  \na \n\nb\n", "\n") == ("a", "", "b")


@pytest.mark.parametrize(
    ("lines", "finding"),
    [
        (["src/a.py:3: error: no such name"], Finding("no such name", "src/a.py", 3)),
        (["src/a.py:3:7: E501 too long"], Finding("E501 too long", "src/a.py", 3)),
        (["error[x]: not pinned", "  --> ci.yml:12:9"], Finding("error[x]: not pinned", "ci.yml", 12)),
    ],
)
def test_places_are_read_from_the_tools_output(lines: list[str], finding: Finding) -> None:
    assert parse_findings(lines) == (finding,)


def test_notes_and_prose_are_no_findings() -> None:
    assert parse_findings(["src/a.py:3: note: see below", "Found 2 errors.", "All good"]) == ()


def test_types_are_checked_strictly_over_src_the_declared_files_or_everything(tmp_path: Path) -> None:
    assert typecheck_check(tmp_path, Checks()).args[-1] == "."
    (tmp_path / "src").mkdir()
    assert typecheck_check(tmp_path, Checks()).args[-1] == "src"
    (tmp_path / "pyproject.toml").write_text('[tool.mypy]\nfiles = ["lib"]\n')
    assert typecheck_check(tmp_path, Checks()).args[-1] == "--no-color-output"
    assert "--strict" in typecheck_check(tmp_path, Checks()).args
