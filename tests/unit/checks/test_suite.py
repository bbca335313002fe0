from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from handrail.checks import suite
from handrail.checks.ci_results import judge_results
from handrail.checks.report import as_markdown, require_green_verdicts, show
from handrail.checks.suite import Selection, pytest_argv, run_suite
from handrail.checks.verdict import Finding, Verdict
from handrail.config.schema import Checks, Project
from handrail.errors import TaskFailedError, UsageError
from handrail.tasks.base import TaskContext
from handrail.tasks.checks import check
from handrail.testing import FakeRunner, RecordingPrinter

pytestmark = pytest.mark.unit

PROJECT = Project(app="my-shop", checks=Checks(coverage_floor=80.0))


def argv(tmp_path: Path, selection: Selection) -> list[str]:
    return pytest_argv(tmp_path, PROJECT, selection, tmp_path / "tests.xml")


def test_the_whole_suite_measures_coverage_and_holds_the_floor(tmp_path: Path) -> None:
    words = argv(tmp_path, Selection())
    assert "--cov=my_shop" in words
    assert "--cov-fail-under=80" in words


@pytest.mark.parametrize("selection", [Selection(unit=True), Selection(args=("-k", "one test"))])
def test_a_part_of_the_suite_is_held_to_no_floor(tmp_path: Path, selection: Selection) -> None:
    assert not [word for word in argv(tmp_path, selection) if word.startswith("--cov")]


def test_words_after_the_dashes_arrive_as_they_were_typed(tmp_path: Path) -> None:
    assert argv(tmp_path, Selection(args=("-k", "a b", "x;y")))[-3:] == ["-k", "a b", "x;y"]


def test_kinds_of_tests_become_markers(tmp_path: Path) -> None:
    words = argv(tmp_path, Selection(unit=True, integration=True))
    assert words[words.index("-m", 2) + 1] in ("unit or integration", "pytest")
    assert "unit or integration" in words


def test_a_floor_without_the_plugin_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "has_module", lambda name: name != "pytest_cov")
    with pytest.raises(UsageError, match="pytest-cov is not in this environment"):
        argv(tmp_path, Selection())


def test_a_run_that_ends_red_without_a_failed_test_says_so(tmp_path: Path) -> None:
    runner = FakeRunner()
    runner.answer("python", returncode=1)
    verdict, _ = run_suite(tmp_path, PROJECT, Selection(), runner, lambda line: None)
    assert verdict.state == "failed"
    assert "coverage floor" in verdict.remark


def test_a_selection_that_fits_no_test_is_a_failure(tmp_path: Path) -> None:
    runner = FakeRunner()
    runner.answer("python", returncode=5)
    verdict, _ = run_suite(tmp_path, PROJECT, Selection(args=("-k", "none such")), runner, lambda line: None)
    assert (verdict.state, verdict.remark) == ("failed", "no test fits what was asked for")
    assert verdict.command == "inv test -- -k 'none such'"


def test_an_old_report_cannot_lend_its_counts_to_a_crash(tmp_path: Path) -> None:
    report = tmp_path / ".handrail/reports/tests.xml"
    report.parent.mkdir(parents=True)
    report.write_text('<testsuite errors="0" failures="0" skipped="0" tests="9">')
    runner = FakeRunner()
    runner.answer("python", returncode=-11)
    verdict, counts = run_suite(tmp_path, PROJECT, Selection(), runner, lambda line: None)
    assert counts.passed == 0
    assert verdict.remark == "killed by signal 11"


def test_every_job_of_a_workflow_must_have_succeeded() -> None:
    results = '{"lint": {"result": "success"}, "test": {"result": "skipped"}}'
    lint, test = judge_results({"CI_RESULTS": results})
    assert lint.is_green
    assert (test.state, test.remark) == ("failed", "skipped")


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json", '{"lint": 1}'])
def test_results_that_say_nothing_are_no_success(text: str) -> None:
    with pytest.raises(UsageError, match="CI_RESULTS holds no results"):
        judge_results({"CI_RESULTS": text})


@pytest.mark.parametrize(("result", "state", "remark"), [("success", "passed", ""), ("skipped", "failed", "skipped")])
def test_the_jobs_of_a_workflow_are_one_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: str, state: str, remark: str
) -> None:
    monkeypatch.setenv("CI_RESULTS", f'{{"lint": {{"result": "{result}"}}}}')
    printer = RecordingPrinter()
    with nullcontext() if state == "passed" else pytest.raises(TaskFailedError):
        check(TaskContext(printer, tmp_path), ci_results=True)
    (document,) = printer.documents
    assert document["verdicts"] == [{"name": "lint", "state": state, "remark": remark}]
    assert document["green"] is (state == "passed")


def test_a_red_verdict_ends_the_task_and_names_the_command() -> None:
    red = Verdict("style", "failed", 1.0, "ruff check .", "2 findings")
    with pytest.raises(TaskFailedError, match="style: 2 findings") as caught:
        require_green_verdicts([Verdict("format", "passed"), red])
    assert caught.value.command == "ruff check ."
    assert "inv lint --fix" in caught.value.next_step
    require_green_verdicts([Verdict("a", "passed"), Verdict("b", "not run")])


def test_findings_become_annotations_in_github_actions_only(monkeypatch: pytest.MonkeyPatch) -> None:
    red = Verdict("style", "failed", findings=(Finding("F401 unused", "a.py", 3),), lines=("a.py:3: F401 unused",))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    printer = RecordingPrinter()
    show(red, printer)
    assert printer.lines("annotate") == []
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    show(red, printer)
    assert printer.lines("annotate") == ["error style: F401 unused a.py:3"]


def test_the_step_summary_names_each_check() -> None:
    text = as_markdown("check", [Verdict("lint", "passed", 1.25), Verdict("test 3.10", "not run", remark="absent")])
    assert "| lint | ✅ passed | 1.2 |" in text
    assert "| test 3.10 | ⚠️ not run | 0.0 | absent |" in text


def test_tests_get_what_is_declared_for_them_unless_the_process_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGION", "from the process")
    checks = Checks(test="python manage.py test", test_variables={"REGION": "declared", "SHOP_KEY": "declared"})
    runner = FakeRunner()

    run_suite(tmp_path, Project(app="shop", checks=checks), Selection(), runner, print)
    run_suite(tmp_path, Project(app="shop", checks=Checks(test="true")), Selection(), runner, print)

    first, second = (call.env for call in runner.calls)
    assert first is not None
    assert (first["REGION"], first["SHOP_KEY"]) == ("from the process", "declared")
    assert second is None
