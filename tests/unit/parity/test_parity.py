"""Each difference between laptop, hooks and CI is found at its line, and nothing is said where there is none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handrail.checks.drift import check_tools, run_parity
from handrail.config.load import load_project
from handrail.diagnosis import Diagnosis, Replacement
from handrail.parity.look import look
from handrail.parity.programs import programs_missing_here
from handrail.parity.sources import read_all
from handrail.parity.words import bare, check_tool, is_bootstrap, is_task
from handrail.parity.workflows import Step, split
from handrail.parity.yaml_lines import read_yaml

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
COMMIT = "3d3c42e5aac5ba805825da76410c181273ba90b1"
PYPROJECT = """\
[project]
name = "shop"
requires-python = ">=3.11"
classifiers = [
    "Programming Language :: Python :: 3",
    "Programming Language :: Python :: 3.11",
    "Programming Language :: Python :: 3.12",
]

[tool.handrail]
app = "shop"

[tool.handrail.checks]
pythons = ["3.11", "3.12"]
"""
CI = f"""\
on: [push]
jobs:
  check:
    steps:
      - uses: actions/checkout@{COMMIT} # v7
      - run: scripts/bootstrap
      - run: .venv/bin/inv check
"""
HOOKS = """\
repos:
  - repo: https://github.com/astral-sh/ruff-pre-commit
    rev: v0.12.1
    hooks:
      - id: ruff-check
      - id: ruff-format
  - repo: local
    hooks:
      - id: workflows
        language: system
        entry: .venv/bin/zizmor --offline
"""
LOCK = '[[package]]\nname = "ruff"\nversion = "0.12.1"\n\n[[package]]\nname = "uv"\nversion = "0.9.5"\n'


class Repository:
    """A project that is clean until a test changes one of its files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("pyproject.toml", PYPROJECT)
        self.write(".github/workflows/ci.yml", CI)
        self.write(".pre-commit-config.yaml", HOOKS)
        self.write("uv.lock", LOCK)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def look(self) -> list[Diagnosis]:
        project = load_project(self.root)
        return look(self.root, project, check_tools(self.root, project))

    def found(self) -> list[str]:
        return [f"{each.code} {each.where}" for each in self.look()]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_nothing_is_found_where_nothing_differs(repository: Repository) -> None:
    assert repository.look() == []


def test_this_very_repository_is_clean() -> None:
    project = load_project(ROOT)

    assert look(ROOT, project, check_tools(ROOT, project)) == []


CI_FILE = ".github/workflows/ci.yml"
STEP = "      - run: .venv/bin/inv check\n"
CASES = {
    "a command in a workflow": (
        [(CI_FILE, STEP, STEP + "      - run: |\n          # one\n          inv lint\n          ./b.sh && true\n")],
        ["run-not-a-task .github/workflows/ci.yml:11"],
    ),
    "a step in Python": (
        [(CI_FILE, STEP, STEP + "      - shell: python\n        run: print('x')\n")],
        ["run-not-a-task .github/workflows/ci.yml:9"],
    ),
    "an action by tag": (
        [(CI_FILE, f"@{COMMIT} # v7", "@v7")],
        ["action-not-pinned .github/workflows/ci.yml:5"],
    ),
    "an action by branch in a reusable call": (
        [(CI_FILE, "jobs:\n", "jobs:\n  other:\n    uses: org/repo/.github/workflows/x.yml@main\n")],
        ["action-not-pinned .github/workflows/ci.yml:4"],
    ),
    "an image by tag": (
        [(CI_FILE, STEP, STEP + "      - uses: docker://alpine:3.20\n")],
        ["action-not-pinned .github/workflows/ci.yml:8"],
    ),
    "a Python that YAML takes for a number": (
        [(CI_FILE, "    steps:\n", "    strategy: {matrix: {python: [3.10, 3.11]}}\n    steps:\n")],
        ["pythons-differ .github/workflows/ci.yml:4", "pythons-differ .github/workflows/ci.yml:4"],
    ),
    "an action of another commit than the most": (
        [(CI_FILE, "    steps:\n", f"    steps:\n      - uses: actions/checkout@{COMMIT[::-1]}\n"),
         (CI_FILE, STEP, STEP + f"      - uses: actions/checkout@{COMMIT}\n")],
        ["action-versions-differ .github/workflows/ci.yml:5"],
    ),
    "an action of two commits": (
        [(CI_FILE, STEP, STEP + f"      - uses: actions/checkout@{COMMIT[::-1]}\n")],
        ["action-versions-differ .github/workflows/ci.yml:8"],
    ),
    "a hook of another version": (
        [(".pre-commit-config.yaml", "v0.12.1", "v0.11.0")],
        ["tool-versions-differ .pre-commit-config.yaml:3"],
    ),
    "a frozen hook of another version": (
        [(".pre-commit-config.yaml", "v0.12.1", f"{COMMIT} # frozen: v0.11.0")],
        ["tool-versions-differ .pre-commit-config.yaml:3"],
    ),
    "a workflow that installs another version": (
        [(CI_FILE, "scripts/bootstrap\n", "pip install uv==0.8.0\n")],
        ["tool-versions-differ .github/workflows/ci.yml:6"],
    ),
    "an action that is told another version": (
        [(CI_FILE, STEP, STEP + f"      - uses: astral-sh/setup-uv@{COMMIT}\n        with:\n          version: 0.8\n")],
        ["tool-versions-differ .github/workflows/ci.yml:10"],
    ),
    "a required version": (
        [("pyproject.toml", "[tool.handrail]", '[tool.ruff]\nrequired-version = ">=0.13"\n\n[tool.handrail]')],
        ["tool-versions-differ pyproject.toml:11"],
    ),
    "classifiers": (
        [("pyproject.toml", '    "Programming Language :: Python :: 3.12",\n', "")],
        ["pythons-differ pyproject.toml:6"],
    ),
    "requires-python promises more": (
        [("pyproject.toml", ">=3.11", ">=3.10")],
        ["pythons-differ pyproject.toml:3"],
    ),
    "requires-python promises less": (
        [("pyproject.toml", ">=3.11", ">=3.12")],
        ["pythons-differ pyproject.toml:3"],
    ),
    "a matrix": (
        [
            (
                CI_FILE,
                "  check:\n",
                ("  check:\n    strategy:\n      matrix:\n        os: [ubuntu]\n        python-version:\n"
                '          - "3.11"\n          - "3.13"\n          - "3.14-dev"\n'),
            )
        ],
        ["pythons-differ .github/workflows/ci.yml:8"],
    ),
    "a single Python": (
        [
            (
                CI_FILE,
                STEP,
                STEP + f"      - uses: actions/setup-python@{COMMIT}\n        with:\n          python-version: '3.9'\n",
            )
        ],
        ["pythons-differ .github/workflows/ci.yml:10"],
    ),
    "ruff's Python": (
        [("pyproject.toml", "[tool.handrail]", '[tool.ruff]\ntarget-version = "py39"\n\n[tool.handrail]')],
        ["python-floor-differs pyproject.toml:11"],
    ),
    "a hook that nobody else runs": (
        [(".pre-commit-config.yaml", "      - id: ruff-format\n", "      - id: ruff-format\n      - id: codespell\n")],
        ["check-only-in-hooks .pre-commit-config.yaml:7"],
    ),
    "a quick check that is no hook": (
        [(".pre-commit-config.yaml", "      - id: ruff-format\n", "")],
        ["check-not-in-hooks .pre-commit-config.yaml:1"],
    ),
    "a part that CI leaves out": (
        [(CI_FILE, "inv check", "inv lint typecheck test")],
        ["check-not-in-ci .github/workflows/ci.yml:1"],
    ),
    "CI that calls no task": (
        [(CI_FILE, ".venv/bin/inv check", "uv sync")],
        ["check-not-in-ci .github/workflows/ci.yml:1"],
    ),
    "results that are only judged are no check": (
        [(CI_FILE, "inv check", "inv check --ci-results")],
        ["check-not-in-ci .github/workflows/ci.yml:1"],
    ),
    "a further check that CI leaves out": (
        [
            (CI_FILE, "inv check", "inv lint typecheck test build"),
            ("pyproject.toml", '"3.12"]\n', '"3.12"]\nextra.audit = "pip-audit -l"\n'),
        ],
        ["check-not-in-ci pyproject.toml:15"],
    ),
    "a check that only CI runs": (
        [(CI_FILE, STEP, STEP + "      - run: uvx bandit -r src\n")],
        ["check-only-in-ci .github/workflows/ci.yml:8", "run-not-a-task .github/workflows/ci.yml:8"],
    ),
    "a workflow that is no YAML": ([(CI_FILE, "jobs:", "jobs: [")], ["file-not-read .github/workflows/ci.yml:4"]),
    "a workflow without jobs": ([(CI_FILE, "jobs:", "job:")], ["file-not-read .github/workflows/ci.yml:1"]),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES)
def test_a_difference_is_named_with_its_code_and_its_line(
    repository: Repository, changes: list[tuple[str, str, str]], expected: list[str]
) -> None:
    for name, old, new in changes:
        repository.change(name, old, new)

    assert repository.found() == expected


def test_composite_actions_are_read_too(repository: Repository) -> None:
    repository.write(
        ".github/actions/prepare/action.yml",
        "runs:\n  using: composite\n  steps:\n    - run: make all\n      shell: bash\n    - uses: a/b@v1\n",
    )

    assert repository.found() == [
        "run-not-a-task .github/actions/prepare/action.yml:4",
        "action-not-pinned .github/actions/prepare/action.yml:6",
    ]


def test_a_task_that_does_not_exist_is_named_with_the_nearest(repository: Repository) -> None:
    repository.change(CI_FILE, STEP, STEP + "      - run: inv lnt --fix\n      - run: inv -e lint && inv $TASK\n")
    project = load_project(repository.root)

    (finding,) = look(repository.root, project, check_tools(repository.root, project), tasks=["lint", "check"])

    assert (finding.code, finding.line) == ("task-unknown", 8)
    assert "did you mean 'lint'?" in finding.message


def test_the_noxfile_is_read_without_running_it(repository: Repository) -> None:
    repository.write(
        "noxfile.py",
        "import nox\nimport sys\nPYTHONS = ['3.10', '3.11']\nsys.exit('never run')\n\n"
        "@nox.session(python=PYTHONS)\ndef tests(session):\n    session.install('ruff==0.11.0', 'pytest')\n",
    )

    assert repository.found() == ["pythons-differ noxfile.py:3", "tool-versions-differ noxfile.py:8"]


def test_a_noxfile_that_python_cannot_read_is_named_with_its_line(repository: Repository) -> None:
    repository.write("noxfile.py", "import nox\ndef (\n")

    assert repository.found() == ["file-not-read noxfile.py:2"]


def test_a_file_that_cannot_be_read_is_named_and_told_why(repository: Repository) -> None:
    (repository.root / ".github" / "workflows" / "gone.yml").symlink_to("nowhere.yml")

    (finding,) = (each for each in repository.look() if each.code == "file-not-read")
    assert finding.message.startswith(".github/workflows/gone.yml does not exist in ")


def test_what_a_project_accepts_is_silent_where_it_stands(repository: Repository) -> None:
    repository.change(CI_FILE, STEP, STEP + "      - run: make # handrail: ignore[run-not-a-task]\n")
    assert repository.found() == []

    repository.change(CI_FILE, "ignore[run-not-a-task]", "ignore[another-code]")
    assert repository.found() == ["run-not-a-task .github/workflows/ci.yml:8"]

    repository.change(
        CI_FILE, "      - run: make #", "      # handrail: ignore[x, run-not-a-task]: for now\n      - run: make #"
    )
    assert repository.found() == []


def test_a_hooks_version_is_repaired_towards_the_lock(repository: Repository) -> None:
    repository.change(".pre-commit-config.yaml", "v0.12.1", "v0.11.0")

    (finding,) = repository.look()

    assert finding.repair == Replacement(".pre-commit-config.yaml", 3, "v0.11.0", "v0.12.1")
    assert "0.12.1 at uv.lock:3" in finding.message


def test_a_python_that_lost_its_zero_is_repaired_by_quotes(repository: Repository) -> None:
    repository.change(CI_FILE, "    steps:\n", "    strategy: {matrix: {python: [3.10, '3.20', 3.11]}}\n    steps:\n")

    repairs = [each.repair for each in repository.look() if each.repair]

    assert repairs == [Replacement(CI_FILE, 4, "3.10", '"3.10"')]


def test_a_frozen_hook_has_no_repair_because_nobody_here_knows_the_commit(repository: Repository) -> None:
    repository.change(".pre-commit-config.yaml", "v0.12.1", f"{COMMIT} # frozen: v0.11.0")

    (finding,) = repository.look()

    assert finding.repair is None
    assert finding.mend.startswith("write the commit of 0.12.1, or lock 0.11.0")


def test_an_expression_of_the_runner_is_one_word_whatever_is_in_it() -> None:
    step = Step("ci.yml", 1, "inv test --python ${{ matrix.a || format('py{0}', matrix.b) }} && inv b", 5)

    assert [words[:2] for _, words in step.commands()] == [["inv", "test"], ["inv", "b"]]


def test_what_uv_fetches_need_not_be_on_the_machine(repository: Repository) -> None:
    repository.change(CI_FILE, STEP, STEP + "      - run: uv run no-such-tool -x\n")
    sources = read_all(repository.root, load_project(repository.root), ())

    assert [each.message for each in programs_missing_here(sources, path="/nowhere")] == [
        "CI uses uv, and it is not on this machine"
    ]


@pytest.mark.parametrize("merge", ["<<: *a", "<<: [*a, *b]"])
def test_a_table_that_merges_itself_has_each_of_its_keys(tmp_path: Path, merge: str) -> None:
    (tmp_path / "x.yml").write_text(f"b: &b {{three: 3}}\na: &a\n  one: 1\n  {merge}\n  two: 2\n")
    document = read_yaml(tmp_path, "x.yml")
    assert document is not None
    table = document.get("a")
    assert table is not None
    names = [key.text for key, _ in table.items()]
    assert names == ["one", "two", *(["three"] if "b" in merge else [])]


def test_a_project_without_workflows_hooks_and_lock_has_nothing_that_differs(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.handrail]\napp = "shop"\n')
    project = load_project(tmp_path)

    assert look(tmp_path, project, check_tools(tmp_path, project)) == []


def test_what_ci_uses_and_this_machine_lacks_is_named_once(repository: Repository, tmp_path: Path) -> None:
    repository.change(
        CI_FILE,
        "scripts/bootstrap",
        'scripts/bootstrap --debian "sh:dash no-such-program:its-package"\n      - run: no-such-tool && no-such-tool',
    )
    project = load_project(repository.root)
    sources = read_all(repository.root, project, ())

    found = list(programs_missing_here(sources, path="/bin:/usr/bin"))

    assert [(each.code, each.line, "its-package" in each.mend) for each in found] == [
        ("ci-tool-missing", 6, True),
        ("ci-tool-missing", 7, False),
    ]


def test_what_ci_installs_with_pip_is_not_looked_for_in_debian(repository: Repository) -> None:
    more = "      - run: python -m pip install --upgrade 'no-such-tool>=1'\n      - run: no-such-tool .\n"
    repository.change(CI_FILE, STEP, STEP + more)
    sources = read_all(repository.root, load_project(repository.root), ())

    found = programs_missing_here(sources, path="/nowhere")

    assert [each.mend for each in found if "no-such-tool" in each.message] == ["uv tool install no-such-tool"]


def test_lint_fails_over_differences_only_where_the_project_wants_that(repository: Repository) -> None:
    repository.change(CI_FILE, f"@{COMMIT} # v7", "@v7")

    (verdict,) = run_parity(repository.root, load_project(repository.root))
    assert (verdict.state, len(verdict.findings)) == ("passed", 1)
    assert "1 finding" in verdict.remark

    repository.change("pyproject.toml", "[tool.handrail.checks]", '[tool.handrail.checks]\nparity = "error"')
    (verdict,) = run_parity(repository.root, load_project(repository.root))
    assert (verdict.state, verdict.findings[0].line) == ("failed", 5)

    repository.change("pyproject.toml", '"error"', '"off"')
    assert run_parity(repository.root, load_project(repository.root)) == []


@pytest.mark.parametrize(
    "line",
    [
        "inv lint", ".venv/bin/inv test --all", "uv run inv check", "uv run --group dev inv check", "uvx handrail init",
        "python -m invoke lint", "CI=1 inv build", "nox -s tests", "sudo -n inv x",
    ],
)  # fmt: skip
def test_a_task_is_one_however_it_is_started(line: str) -> None:
    assert is_task(line.split())


@pytest.mark.parametrize(
    "line",
    [
        "scripts/bootstrap", "./scripts/bootstrap --debian x", "uv sync --locked", "pip install uv",
        "pip install -U pip uv==0.9", "pipx install uv", ". .venv/bin/activate", "uv python install 3.12",
        "curl -LsSf https://astral.sh/uv/install.sh", "uv pip install handrail",
    ],
)  # fmt: skip
def test_what_only_makes_the_environment_is_bootstrap(line: str) -> None:
    assert is_bootstrap(line.split())


@pytest.mark.parametrize(
    "line",
    ["pip install -r requirements.txt", "pytest", "make", "uv run pytest", "python setup.py test", "curl x.example"],
)
def test_other_commands_are_neither(line: str) -> None:
    assert not is_task(line.split())
    assert not is_bootstrap(line.split())


def test_a_tool_is_the_same_through_any_runner() -> None:
    for line in (
        "ruff check .",
        "uvx ruff@0.9 check",
        "uv run -p 3.12 ruff check",
        "python -m ruff check",
        "/x/ruff check",
    ):
        assert check_tool(line.split()) == "ruff check"
    assert bare(["FOO=1", "env", "A=b", "mypy"]) == ["mypy"]


def test_shell_lines_are_split_into_commands_at_their_own_lines() -> None:
    step = Step("ci.yml", 1, "inv a && inv b  # both\n\ninv \\\n  c; inv d | tee x\ninv 'e", 10)

    assert [(line, " ".join(words)) for line, words in step.commands()] == [
        (10, "inv a"), (10, "inv b"), (12, "inv c"), (12, "inv d"), (12, "tee x"), (14, "inv 'e"),
    ]  # fmt: skip


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_shell_line_can_be_judged(line: str) -> None:
    for words in split(line):
        assert words
        assert not (is_task(words) and re.fullmatch(r"\s*#.*", line))
        is_bootstrap(words)
        check_tool(words)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["3.10", "3.11", "3.12", "3.13"]), unique=True, min_size=1))
def test_the_order_of_a_list_of_pythons_means_nothing(versions: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        quoted = ", ".join(f'"{version}"' for version in versions)
        lines = "".join(f'    "Programming Language :: Python :: {version}",\n' for version in reversed(versions))
        Path(folder, "pyproject.toml").write_text(
            f"[project]\nclassifiers = [\n{lines}]\n[tool.handrail]\napp = 'a'\nchecks.pythons = [{quoted}]\n"
        )
        project = load_project(Path(folder))

        assert look(Path(folder), project, ()) == []
