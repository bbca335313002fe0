"""What a red check says in GitHub Actions: a place for each failed test, folded logs, a table on the job's page."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from handrail.checks.failures import MOST, read_failures
from handrail.checks.report import annotate, as_markdown, show, summarize
from handrail.checks.run_tests import run_tests
from handrail.checks.suite import Selection, run_suite
from handrail.checks.verdict import Finding, Verdict
from handrail.commands import Runner
from handrail.config.schema import Project
from handrail.ui.text import TextPrinter

pytestmark = pytest.mark.unit

TESTS = """import pytest


def check(value):
    assert value == 2, "is not\\ntwo"


def test_red():
    check(1)


@pytest.fixture
def broken():
    raise ValueError("no luck")


def test_error(broken):
    pass


def test_outside():
    import json

    json.loads("{")


def test_green():
    pass
"""


@pytest.fixture
def red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HANDRAIL_TEST_WORKERS", "0")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    return tmp_path


def actions(path: Path) -> tuple[TextPrinter, io.StringIO]:
    out = io.StringIO()
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(path)}
    return TextPrinter(out=out, err=out, environ=environ), out


def test_each_failed_test_is_found_where_it_failed_in_the_project(red: Path) -> None:
    verdict, counts = run_suite(
        red, Project(app="shop"), Selection(args=("-p", "no:cacheprovider")), Runner(), lambda _: None
    )
    assert (verdict.state, counts.passed) == ("failed", 1)
    by_name = {finding.message.split(":")[0]: finding for finding in verdict.findings}
    assert set(by_name) == {"test_red", "test_error", "test_outside"}
    assert (by_name["test_red"].file, by_name["test_red"].line) == ("test_some.py", 5)
    assert "is not" in by_name["test_red"].message
    assert by_name["test_error"].line == 14
    assert by_name["test_outside"].line == 24
    assert all("\n" not in finding.message for finding in verdict.findings)


def test_a_file_that_cannot_be_collected_is_a_finding_with_its_reason(red: Path) -> None:
    (red / "test_other.py").write_text("import nothing_like_this\n")
    verdict, _ = run_suite(
        red, Project(app="shop"), Selection(args=("-p", "no:cacheprovider")), Runner(), lambda _: None
    )
    (finding,) = verdict.findings
    assert (finding.file, finding.line) == ("test_other.py", 1)
    assert "No module named 'nothing_like_this'" in finding.message


def test_a_report_that_is_missing_or_broken_has_no_findings(tmp_path: Path) -> None:
    assert read_failures(tmp_path / "no.xml") == ()
    (tmp_path / "half.xml").write_text("<testsuite><testcase")
    assert read_failures(tmp_path / "half.xml") == ()


def test_no_more_than_the_runner_shows_are_given(tmp_path: Path) -> None:
    cases = "".join(f'<testcase name="t{n}"><failure message="no"/></testcase>' for n in range(MOST + 5))
    (tmp_path / "r.xml").write_text(f"<testsuite>{cases}</testsuite>")
    assert len(read_failures(tmp_path / "r.xml")) == MOST
    assert read_failures(tmp_path / "r.xml")[0] == Finding("t0: no")


def test_in_github_actions_a_red_run_is_folded_annotated_and_on_the_jobs_page(
    red: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    printer, out = actions(red / "summary.md")
    run_tests(red, Project(app="shop"), Selection(args=("-p", "no:cacheprovider")), Runner(), printer)
    lines = out.getvalue().splitlines()
    assert lines[0] == "::group::tests"
    assert any(line.startswith("::error file=test_some.py,line=5::test: test_red: ") for line in lines)
    assert lines.index("::endgroup::") < min(n for n, line in enumerate(lines) if line.startswith("::error"))
    assert "| test | ❌ failed |" in (red / "summary.md").read_text("utf-8")


def test_a_green_check_with_remarks_warns_at_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    printer, out = actions(tmp_path / "summary.md")
    show(Verdict("parity", "passed", remark="1 remark", findings=(Finding("not a task", "ci.yml", 3),)), printer)
    assert "::warning file=ci.yml,line=3::parity: not a task" in out.getvalue()


def test_on_a_laptop_nothing_is_annotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    out = io.StringIO()
    annotate(Verdict("style", "failed", findings=(Finding("x", "a.py", 1),)), TextPrinter(out=out, err=out, environ={}))
    assert out.getvalue() == ""


def test_the_table_on_the_jobs_page_holds_whatever_a_remark_holds(tmp_path: Path) -> None:
    printer, _ = actions(tmp_path / "summary.md")
    summarize("lint", [Verdict("style", "failed", 1.0, remark="a | b\nc")], printer)
    assert "| style | ❌ failed | 1.0 | a \\| b c |" in (tmp_path / "summary.md").read_text("utf-8")
    assert as_markdown("x", []).startswith("### x")
