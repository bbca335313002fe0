from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from handrail.checks import matrix
from handrail.checks.counts import Counts, read_counts, total, write_totals
from handrail.checks.matrix import choose_versions, read_report, run_matrix
from handrail.errors import UsageError
from handrail.testing import FakeRunner

pytestmark = pytest.mark.unit

JUNIT = '<testsuites><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10" time="1" /></testsuites>'
GREEN = '<testsuites><testsuite name="pytest" errors="0" failures="0" skipped="3" tests="10" time="1" /></testsuites>'


BEFORE = "the session ended before its tests: see above"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "noxfile.py").write_text("")
    monkeypatch.setattr(matrix, "find_pythons", lambda versions, runner: {v: Path(v) for v in versions if v != "3.10"})
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


def fake_nox(root: Path, results: dict[str, str], junit: str = GREEN, reason: str = "why") -> FakeRunner:
    runner = FakeRunner()

    def run(call: Any) -> None:
        sessions = [
            {"signatures": [f"tests-{version}"], "result": result, "duration": 2.0, "reason": reason}
            for version, result in results.items()
        ]
        (root / ".handrail/reports/nox.json").write_text(json.dumps({"sessions": sessions}))
        for version in results:
            (root / f".handrail/reports/tests-{version}.xml").write_text(junit)

    runner.answer(sys.executable, "-m", "nox", effect=run)
    return runner


def test_a_missing_interpreter_is_not_run_and_never_passed(project: Path) -> None:
    runner = fake_nox(project, {"3.11": "success"})
    verdicts, counts = run_matrix(project, ["3.10", "3.11"], runner, lambda line: None)
    assert [(verdict.name, verdict.state) for verdict in verdicts] == [
        ("test 3.10", "not run"),
        ("test 3.11", "passed"),
    ]
    assert "Python 3.10 is not installed" in verdicts[0].remark
    assert counts.passed == 7
    assert "tests-3.10" not in runner.commands[-1]


def test_in_ci_a_missing_interpreter_is_a_failure(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    verdicts, _ = run_matrix(project, ["3.10"], fake_nox(project, {}), lambda line: None)
    assert verdicts[0].state == "failed"


def test_a_skipped_or_aborted_session_is_not_a_pass(project: Path) -> None:
    runner = fake_nox(project, {"3.11": "skipped", "3.12": "aborted"})
    verdicts, _ = run_matrix(project, ["3.11", "3.12"], runner, lambda line: None)
    assert [verdict.state for verdict in verdicts] == ["not run", "failed"]


def test_a_session_in_which_no_test_ran_has_failed(project: Path) -> None:
    runner = fake_nox(project, {"3.11": "success"}, junit='<testsuite errors="0" failures="0" skipped="0" tests="0">')
    verdicts, _ = run_matrix(project, ["3.11"], runner, lambda line: None)
    assert (verdicts[0].state, verdicts[0].remark) == ("failed", "no test ran")


def test_a_session_that_failed_before_its_tests_does_not_say_0_failed(project: Path) -> None:
    runner = fake_nox(project, {"3.11": "failed"}, junit="", reason="")
    verdicts, _ = run_matrix(project, ["3.11"], runner, lambda line: None)
    assert (verdicts[0].state, verdicts[0].remark) == ("failed", BEFORE)


def test_a_nox_without_a_report_fails_every_version(project: Path) -> None:
    runner = FakeRunner()
    runner.answer("python", returncode=1)
    verdicts, _ = run_matrix(project, ["3.11", "3.12"], runner, lambda line: None)
    assert {verdict.state for verdict in verdicts} == {"failed"}


def test_a_project_without_a_noxfile_is_told_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no noxfile\.py") as caught:
        run_matrix(tmp_path, ["3.11"], FakeRunner(), lambda line: None)
    assert "handrail.sessions.register()" in caught.value.next_step


def test_a_version_outside_the_matrix_names_the_nearest_one() -> None:
    assert choose_versions(["3.10", "3.11"], "") == ["3.10", "3.11"]
    assert choose_versions(["3.10", "3.11"], "3.11") == ["3.11"]
    with pytest.raises(UsageError, match=r"did you mean '3\.11'"):
        choose_versions(["3.11", "3.12"], "3.111")


def test_an_unreadable_report_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "nox.json").write_text("{}")
    assert read_report(tmp_path / "nox.json") == {}
    assert read_report(tmp_path / "none.json") == {}


def test_counts_come_from_junit_and_add_up(tmp_path: Path) -> None:
    path = tmp_path / "tests.xml"
    path.write_text(JUNIT)
    counts = read_counts(path)
    assert counts == Counts(passed=4, failed=3, skipped=3)
    assert total([counts, counts]) == Counts(8, 6, 6)
    assert counts.text == "4 passed, 3 failed, 3 skipped"
    assert read_counts(tmp_path / "none.xml") == Counts()


def test_the_last_line_of_a_red_run_never_says_0_failed(tmp_path: Path) -> None:
    write_totals(tmp_path / "totals.txt", Counts(5, 0, 0), is_red=True)
    assert (tmp_path / "totals.txt").read_text() == "5 passed, 1 failed\n"
    write_totals(tmp_path / "totals.txt", Counts(5, 0, 0), is_red=False)
    assert (tmp_path / "totals.txt").read_text() == "5 passed, 0 failed\n"
