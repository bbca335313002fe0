"""Which jobs `inv ci` runs, what they need from elsewhere, and what act's log says of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from handrail.checks.verdict import Finding
from handrail.ci.act import act_argv, job_environment, labels_here, with_patient_shell
from handrail.ci.actions import fill, mirror_folder, missing, needs_node, remote_actions, with_nested
from handrail.ci.events import JobRun, Log, StepRun, as_text
from handrail.ci.run import choose, document, list_jobs, require_a_good_run, run_jobs, show_runs
from handrail.ci.workflows import event_of, read_workflows, with_needs
from handrail.commands import Runner
from handrail.errors import ConfigError, HandrailError, PreflightError, UsageError
from handrail.testing import FakeRunner
from handrail.testing.printer import RecordingPrinter

pytestmark = pytest.mark.unit

CI = """\
name: ci
on:
  push:
    branches: [main]
jobs:
  lint:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v7
      - run: |
          inv lint
          echo done
  test:
    needs: lint
    runs-on: ${{ matrix.os }}
    strategy:
      matrix:
        os: [ubuntu-24.04, windows-2025]
        python: ["3.10", 3.13]
        include: [{os: macos-15}]
    steps:
      - name: Keep it
        uses: actions/upload-artifact/merge@v7
      - uses: ./.github/actions/own
      - uses: docker://alpine:3
"""
DEPLOY = "on: workflow_dispatch\njobs: {deploy: {runs-on: ubuntu-24.04, steps: [{run: inv deploy --env production}]}}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "ci.yml").write_text(CI)
    (folder / "deploy.yml").write_text(DEPLOY)
    return tmp_path


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "action.yml").write_text(text)


def test_a_workflow_is_read_with_its_matrix_and_the_names_that_act_prints(root: Path) -> None:
    ci, deploy = read_workflows(root)
    assert (event_of(ci), event_of(deploy)) == ("push", "")
    assert [step.name for step in ci.jobs["lint"].steps] == ["actions/checkout@v7", "inv lint"]
    test = ci.jobs["test"]
    assert {axis: [value.text for value in values] for axis, values in test.matrix.items()} == {
        "os": ["ubuntu-24.04", "windows-2025"],
        "python": ["3.10", "3.13"],
    }
    assert set(test.labels) >= {"ubuntu-24.04", "windows-2025", "macos-15"}
    assert [job.name for job in with_needs(ci, "test")] == ["lint", "test"]
    assert remote_actions(ci.jobs.values()) == ["actions/upload-artifact@v7"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: [", "ci.yml:2: not valid"), ("on: push\n", "table of jobs"), ("jobs: 3\n", "table of jobs")],
)
def test_a_broken_workflow_is_one_line_with_its_place(root: Path, text: str, said: str) -> None:
    (root / ".github" / "workflows" / "ci.yml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        choose(root, "", "")
    assert said in raised.value.message
    assert "\n" not in raised.value.message


def test_only_what_a_push_starts_runs_unasked(root: Path) -> None:
    assert [each.workflow.file for each in choose(root, "", "")] == [".github/workflows/ci.yml"]
    with pytest.raises(UsageError, match="no push and no pull request"):
        choose(root, "deploy", "")
    assert choose(root, "deploy", "deploy.yml")[0].workflow.file.endswith("deploy.yml")
    with pytest.raises(UsageError, match="did you mean 'lint'"):
        choose(root, "lnt", "")
    with pytest.raises(UsageError, match=r"did you mean .ci\.yml."):
        choose(root, "", "ci.yaml")


def test_the_list_says_how_each_job_is_run(root: Path) -> None:
    printer = RecordingPrinter()
    jobs = list_jobs(root, "", printer)["jobs"]
    assert [(job["job"], job["runs_here"]) for job in jobs] == [("lint", True), ("test", True), ("deploy", False)]
    assert jobs[1]["matrix"]["python"] == ["3.10", "3.13"]
    assert [job["job"] for job in list_jobs(root, "deploy.yml", printer)["jobs"]] == ["deploy"]
    with pytest.raises(UsageError, match=r"no workflow is called 'nope.yml'"):
        list_jobs(root, "nope.yml", printer)


def test_what_is_missing_here_stops_the_run_before_it_starts(root: Path) -> None:
    with pytest.raises(PreflightError) as raised:
        run_jobs(root, choose(root, "", ""), FakeRunner(), RecordingPrinter())
    assert "actions/upload-artifact@v7 (test)" in raised.value.message
    assert "inv ci --mirror" in raised.value.next_step
    assert raised.value.next_step.endswith("these run without: inv ci lint")


@pytest.mark.parametrize(
    ("matrix", "said"),
    [("python", "no name=value"), ("pyton=3.10", "did you mean 'python'"), ("python=3.9", "no python=3.9")],
)
def test_a_matrix_entry_that_does_not_exist_is_named(root: Path, matrix: str, said: str) -> None:
    with pytest.raises(HandrailError, match=said):
        run_jobs(root, choose(root, "test", ""), FakeRunner(), RecordingPrinter(), matrix=[matrix])


MATRICES = """\
on: push
jobs:
  wide:
    runs-on: ubuntu-24.04
    strategy: {matrix: {python: ["3.10", "3.11"], include: [{python: "3.14", free: "yes"}]}}
    steps: [{run: x}]
  narrow:
    runs-on: ubuntu-24.04
    strategy: {matrix: {python: ["3.12"]}}
    steps: [{run: x}]
  unlucky:
    needs: narrow
    runs-on: ubuntu-24.04
    steps: [{run: x}]
  never:
    if: false
    runs-on: ubuntu-24.04
    steps: [{run: x}]
"""
WINDOWS = "on: push\njobs: {there: {runs-on: windows-2025, steps: [{run: x}]}}\n"


@pytest.fixture
def acting(root: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRunner:
    """Plays act for MATRICES: of each job that it begins all is well."""
    monkeypatch.setattr("handrail.ci.run.find_act", lambda: Path("/x/act"))
    (root / ".github" / "workflows" / "ci.yml").write_text(MATRICES)
    (root / ".github" / "workflows" / "other.yml").write_text(WINDOWS)
    return FakeRunner()


@pytest.mark.parametrize("word", ["python=3.10", "python=3.12", "python=3.14", "free=yes"])
def test_a_matrix_entry_of_any_chosen_job_is_known(root: Path, acting: FakeRunner, word: str) -> None:
    run_jobs(root, choose(root, "", ""), acting, RecordingPrinter(), matrix=[word])
    assert word.replace("=", ":") in acting.commands[0]


def test_a_job_that_did_not_begin_says_why(root: Path, acting: FakeRunner) -> None:
    log = json.dumps({"job": "a/wide", "jobID": "wide", "msg": "x", "jobResult": "success"})
    acting.answer("act", stdout=f"{log}\n")
    jobs = run_jobs(root, choose(root, "", ""), acting, RecordingPrinter(), matrix=["python=3.10"])
    assert {job.id: job.remark for job in jobs} == {
        "wide": "",
        "narrow": "its matrix has no python=3.10",
        "unlucky": "what it needs did not run",
        "never": "its condition does not hold here",
        "there": "needs another kind of machine",
    }
    log = json.dumps({"job": "a/narrow", "jobID": "narrow", "msg": "x", "jobResult": "failure"})
    acting.answer("act", stdout=f"{log}\n")
    jobs = run_jobs(root, choose(root, "unlucky", ""), acting, RecordingPrinter())
    assert [(job.id, job.state, job.remark) for job in jobs] == [
        ("narrow", "failed", ""),
        ("unlucky", "not run", "what it needs failed"),
    ]


def test_a_workflow_that_act_refuses_is_told_of_once(root: Path, acting: FakeRunner) -> None:
    acting.answer("act", stdout="Error: workflow is not valid\n", returncode=1)
    jobs = run_jobs(root, choose(root, "unlucky", ""), acting, RecordingPrinter())
    assert [(job.id, job.state, job.remark) for job in jobs] == [
        ("narrow", "not run", "act did not begin it"),
        ("unlucky", "not run", "act did not begin it"),
        ("act", "failed", "Error: workflow is not valid"),
    ]


def test_jobs_for_other_machines_alone_start_nothing_and_are_no_success(root: Path, acting: FakeRunner) -> None:
    printer = RecordingPrinter()
    jobs = run_jobs(root, choose(root, "there", ""), acting, printer)
    assert acting.commands == []
    assert [(job.state, job.remark) for job in jobs] == [("not run", "needs another kind of machine")]
    with pytest.raises(HandrailError, match="no job ran here"):
        require_a_good_run(show_runs(jobs, printer))
    assert not document([])["green"]


def test_a_composite_action_brings_along_what_it_uses(tmp_path: Path) -> None:
    put(tmp_path, "a/b@v1", "runs: {using: composite, steps: [{uses: c/d/sub@v2}, {run: x}, {uses: ./here}]}\n")
    assert with_nested(["a/b@v1"], tmp_path) == ["a/b@v1", "c/d@v2"]
    assert missing(["a/b@v1"], tmp_path) == ["c/d@v2"]
    assert not needs_node(["a/b@v1"], tmp_path)
    put(tmp_path, "c/d@v2", "runs: {using: node24, main: x.js}\n")
    assert needs_node(["a/b@v1"], tmp_path)


def test_the_mirror_is_filled_from_the_actions_repositories_at_what_is_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    server = tmp_path / "server"
    put(server, "a/b", "runs: {using: composite, steps: [{uses: c/d@v2}]}\n")
    put(server, "c/d", "runs: {using: node24, main: x.js}\n")
    for name, tag in (("a/b", "v1"), ("c/d", "v2")):
        git = ["git", "-C", str(server / name), "-c", "user.name=x", "-c", "user.email=x@example.org"]
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"], ["tag", tag]):
            subprocess.run([*git, *words], check=True)
    monkeypatch.setenv("GITHUB_SERVER_URL", server.as_uri())
    folder = mirror_folder(tmp_path)
    assert fill(["a/b@v1"], folder, Runner()) == ["a/b@v1", "c/d@v2"]
    assert (folder / "c/d@v2" / "action.yml").is_file()
    assert [each.name for each in (folder / "a").iterdir()] == ["b@v1"]
    assert fill(["a/b@v1"], folder, Runner()) == []
    with pytest.raises(HandrailError):
        fill(["a/b@v9"], folder, Runner())
    # From inside a git hook, which names the repository that it belongs to.
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "of-the-hook"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "of-the-hook" / "index"))
    shutil.rmtree(folder)
    assert fill(["a/b@v1"], folder, Runner()) == ["a/b@v1", "c/d@v2"]
    assert not (tmp_path / "of-the-hook").exists()
    assert [each.name for each in (folder / "a").iterdir()] == ["b@v1"]


def test_act_runs_on_this_machine_and_takes_no_file_of_the_project_for_its_settings(tmp_path: Path) -> None:
    argv = act_argv(
        Path("/x/act"), event="push", workflow="w.yml", job="lint", labels=["ubuntu-24.04"], matrix=["python=3.12"],
        variables=["A=b"], actions={"a/b@v1": tmp_path}, work=tmp_path, port=2345,
    )  # fmt: skip
    line = " ".join(argv)
    assert "--platform ubuntu-24.04=-self-hosted" in line
    assert "--matrix python:3.12" in line
    assert f"--local-repository a/b@v1={tmp_path}" in line
    # act would always take 34567 for its artifacts, and two of them could not run at once.
    assert "--artifact-server-port 2345" in line
    assert "--env-file /dev/null" in line
    assert "--secret-file /dev/null" in line
    assert labels_here(["ubuntu-24.04", "windows-2025", "macos-15", "self-hosted"], "linux") == [
        "self-hosted",
        "ubuntu-24.04",
    ]


def test_a_job_does_not_see_the_virtual_environment_that_starts_it() -> None:
    environment = job_environment(
        {
            "PATH": "/p/bin:/usr/bin",
            "VIRTUAL_ENV": "/p",
            "GITHUB_RUN_ID": "1",
            "ACTIONS_RUNTIME_TOKEN": "x",
            "GIT_DIR": "/p/.git",
            "A": "b",
        },
        "/p",
    )
    assert environment == {"PATH": "/usr/bin", "A": "b"}


def test_a_failed_step_is_ended_by_a_shell_that_lets_its_last_lines_be_read(tmp_path: Path) -> None:
    environment = with_patient_shell({"PATH": "/usr/bin:/bin"}, tmp_path / "bin")
    script = 'printf "%s\\n" "$PATH" "$1"; exit 3'
    done = subprocess.run(
        ["bash", "-c", script, "x", "two words"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()) == (3, ["/usr/bin:/bin", "two words"])


def event(**fields: Any) -> str:
    return json.dumps({"job": "ci/test-1", "jobID": "test", "matrix": {"python": "3.12"}, "level": "info", **fields})


def test_a_log_becomes_steps_with_seconds_verdict_last_lines_and_places() -> None:
    log = Log()
    step = {"stage": "Main", "step": "inv lint", "stepID": ["1"]}
    log.feed(event(msg="⭐ Run Main inv lint", **step))
    for number in range(60):
        log.feed(event(msg=f"line {number}\n", raw_output=True, **step))
    log.feed(
        event(msg="…", command="error", arg="F401 unused", kvPairs={"file": "a.py", "line": "3"}, level="error", **step)
    )
    ended = log.feed(event(msg="❌", stepResult="failure", executionTime=1_500_000_000, level="error", **step))
    assert ended is not None
    assert (ended.state, ended.seconds, ended.job) == ("failed", 1.5, "test (3.12)")
    assert list(ended.lines)[-1] == "line 59"
    assert ended.findings == [Finding("F401 unused", "a.py", 3)]
    log.feed(event(msg="🏁", jobResult="failure"))
    (job,) = log.jobs.values()
    assert (job.state, job.seconds) == ("failed", 1.5)
    assert document([job])["jobs"][0]["steps"] == [{"name": "inv lint", "state": "failed", "seconds": 1.5}]


def test_a_step_that_ran_twice_under_one_name_is_there_twice() -> None:
    log = Log()
    for number in ("1", "2"):
        log.feed(event(msg="⭐", stage="Main", step="inv lint", stepID=[number]))
        log.feed(event(msg="✅", stage="Main", step="inv lint", stepID=[number], stepResult="success"))
    assert [step.state for job in log.jobs.values() for step in job.steps] == ["passed", "passed"]


def test_the_steps_of_a_composite_action_are_one_step_with_all_that_they_said() -> None:
    log = Log()
    step = {"stage": "Main", "step": "a/b@v1"}
    log.feed(event(msg="⭐", stepID=["3"], **step))
    log.feed(event(msg="first\n", raw_output=True, stepID=["3", "0"], **step))
    assert log.feed(event(msg="✅", stepID=["3", "0"], stepResult="success", executionTime=10**9, **step)) is None
    assert log.feed(event(msg="❌", stepID=["3", "1"], stepResult="failure", level="error", **step)) is None
    ended = log.feed(
        event(msg="❌", stepID=["3"], stepResult="failure", executionTime=2 * 10**9, level="error", **step)
    )
    (job,) = log.jobs.values()
    assert job.steps == [ended]
    assert ended is not None
    assert (ended.state, ended.seconds, list(ended.lines)) == ("failed", 2.0, ["first"])


def test_an_error_without_a_file_stands_among_the_lines_of_its_step() -> None:
    log = Log()
    step = {"stage": "Main", "step": "a/b@v1", "stepID": ["1"]}
    log.feed(event(msg="❗", command="error", arg="Failed to CreateArtifact", level="error", **step))
    ended = log.feed(event(msg="❌", stepResult="failure", level="error", **step))
    assert ended is not None
    assert list(ended.lines) == ["error: Failed to CreateArtifact"]
    assert ended.findings == []


def test_a_pinned_commit_and_a_long_line_do_not_fill_the_table() -> None:
    printer = RecordingPrinter()
    commit = "bbbca2ddaa5d8feaa63e36b76fdaad77386f024f"
    steps = [StepRun("a", f"a/b@{commit}", "passed"), StepRun("a", "inv test " + "x" * 99, "failed")]
    (verdict,) = show_runs([JobRun("a", "a", "failed", steps=steps)], printer)
    said = "\n".join(str(each) for each in printer.events)
    assert "a/b@bbbca2d" in said
    assert commit not in said + verdict.remark
    assert "x" * 60 not in said + verdict.remark
    assert document([JobRun("a", "a", steps=steps)])["jobs"][0]["steps"][0]["name"] == f"a/b@{commit}"


def test_a_job_for_another_kind_of_machine_has_not_run_and_is_not_green() -> None:
    log = Log()
    log.feed(event(msg="🚧  Skipping unsupported platform -- Try running with `-P windows-2025=...`"))
    (job,) = log.jobs.values()
    assert (job.state, job.remark) == ("not run", "needs another kind of machine")
    assert not document([job])["green"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (event(msg="two files\r\n", raw_output=True), "ci/test-1 | two files"),
        ('{"level":"info","msg":"Start server"}', "Start server"),
        ("Error: no such job", "Error: no such job"),
        ('["x"]', '["x"]'),
    ],
)
def test_a_line_of_the_log_is_shown_as_what_was_said(line: str, shown: str) -> None:
    assert as_text(line) == shown


def test_what_is_no_event_is_kept() -> None:
    log = Log()
    log.feed("Error: workflow is not valid. 'ci.yml': Line: 3 Column 5")
    log.feed('{"level":"fatal","msg":"no luck"}')
    assert log.complaints[-1] == "no luck"
    assert len(log.complaints) == 2
