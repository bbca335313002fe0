from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from handrail.completion import answer, refresh
from handrail.completion.cache import remember_releases, write_cache

pytestmark = pytest.mark.unit

Ask = Callable[..., list[str]]

TASKS = [
    {
        "name": "deploy",
        "aliases": ["ship"],
        "help": "Ship this\tcommit.\x1b[31m",
        "options": [
            {"flags": ["--env", "-e"], "values": "environment", "required": True, "help": "where to"},
            {"flags": ["--plan"], "type": "flag", "help": "change nothing"},
            {"flags": ["--to"], "values": "release", "help": "which"},
            {"flags": ["--page"], "values": "path", "help": "a file"},
            {"flags": ["--host"], "repeatable": True, "help": "a host"},
        ],
    },
    {
        "name": "maintenance",
        "aliases": [],
        "help": "A page.",
        "options": [
            {"flags": ["--state"], "choices": ["on", "off"], "positional": True, "help": "on or off"},
            {"flags": ["--env", "-e"], "values": "environment", "required": True, "help": "where"},
        ],
    },
]
BLANK = {"type": "text", "choices": [], "values": "text", "required": False, "repeatable": False, "positional": False}
PROJECT = '[tool.handrail]\napp = "shop"\n[tool.handrail.environments.{}]\nhosts = ["web1"]\nstrategy = "canary"\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "shop"
    root.mkdir()
    (root / "tasks.py").write_text("import handrail\n")
    (root / "pyproject.toml").write_text(PROJECT.format("staging"))
    monkeypatch.chdir(root)
    monkeypatch.setattr(refresh, "run_tasks", lambda root: pytest.fail("the tasks were loaded"))
    write_cache(root, [{**task, "options": [{**BLANK, **o} for o in task["options"]]} for task in TASKS])  # type: ignore[attr-defined]
    return root


@pytest.fixture
def ask(project: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def ask(*words: str, shell: str = "zsh") -> list[str]:
        assert answer.run(shell, ["inv", *words]) == 0
        return capsys.readouterr().out.splitlines()

    return ask


def test_a_task_is_offered_with_its_help_as_one_harmless_line(ask: Ask) -> None:
    assert ask("d") == ["deploy\tShip this commit. [31m"]
    assert ask("ship")[0].startswith("ship\t")


def test_what_a_task_cannot_do_without_is_offered_first(ask: Ask) -> None:
    assert ask("deploy", "") == ["--env\twhere to"]
    assert ask("maintenance", "") == ["on\t", "off\t", "--env\twhere"]
    assert ask("maintenance", "on", "") == ["--env\twhere"]


def test_once_it_is_there_the_next_task_is(ask: Ask) -> None:
    assert [line.split("\t")[0] for line in ask("deploy", "--env", "staging", "")] == ["deploy", "ship", "maintenance"]


def test_options_are_offered_once_unless_they_may_be_repeated(ask: Ask) -> None:
    words = [line.split("\t")[0] for line in ask("deploy", "--plan", "-e", "x", "--host", "a", "--")]
    assert words == ["--to", "--page", "--host"]


def test_an_option_that_waits_for_a_value_gets_one_and_is_no_task(ask: Ask) -> None:
    assert ask("deploy", "--env", "") == ["staging\tcanary"]
    assert ask("deploy", "--host", "maintenance", "--pl") == ["--plan\tchange nothing"]


def test_a_value_behind_an_equals_sign_is_the_whole_word_but_not_in_bash(ask: Ask) -> None:
    assert ask("deploy", "--env=s") == ["--env=staging\tcanary"]
    assert ask("deploy", "--env", "=", "s", shell="bash") == ["staging"]


def test_file_names_belong_behind_two_dashes_and_to_an_option_that_names_a_file(project: Path) -> None:
    assert answer.run("zsh", ["inv", "deploy", "--", "te"]) == answer.FILES
    assert answer.run("zsh", ["inv", "deploy", "--page", "a"]) == answer.FILES


def test_releases_come_from_what_was_seen_last_of_that_environment(project: Path, ask: Ask) -> None:
    assert ask("deploy", "--env", "staging", "--to", "") == []
    remember_releases(project, "staging", [("12-abc1234", "running good"), ("11-def5678", "kept good")])
    assert ask("deploy", "--env", "staging", "--to", "12") == ["12-abc1234\trunning good"]
    assert len(ask("deploy", "--env=staging", "--to", "")) == 2
    assert ask("deploy", "--env", "../staging", "--to", "") == []


def test_bash_shows_the_help_beside_the_word_and_inserts_the_word_alone(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDRAIL_COLUMNS", "40")
    assert ask("deploy", "--pa", shell="bash") == ["--page"]
    lines = ask("deploy", "--p", shell="bash")
    assert lines == ["--plan  (change nothing)", "--page  (a file)"]
    monkeypatch.setenv("HANDRAIL_COMP_TYPE", "37")
    assert ask("deploy", "--p", shell="bash") == ["--plan", "--page"]


def test_before_the_first_task_invokes_own_options_are_offered(ask: Ask) -> None:
    assert ask("--li") == ["--list\tshow the tasks"]
    assert "maintenance\tA page." in ask("--help", "m")


def test_another_collection_is_left_to_invoke(project: Path) -> None:
    assert answer.run("zsh", ["inv", "--collection", "other", ""]) == answer.UNKNOWN


def test_environments_follow_pyproject_without_loading_the_tasks(project: Path, ask: Ask) -> None:
    (project / "pyproject.toml").write_text(PROJECT.format("production"))
    assert ask("deploy", "--env", "") == ["production\tcanary"]
    (project / "pyproject.toml").write_text("[tool.handrail\n")
    assert ask("deploy", "--env", "") == ["production\tcanary"], "while it is being edited, the last good ones stay"


def test_changed_tasks_are_loaded_once_and_while_they_are_broken_not_again(
    project: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    monkeypatch.setattr(refresh, "run_tasks", loads.append)
    # The loaded module is none of the project here, so say that the cache was made from it.
    path = Path(answer.cache_path(str(project)))
    lines = path.read_text().splitlines()
    tasks = project / "tasks.py"
    path.write_text("\n".join([lines[0], f"file\t{answer.stamp(str(tasks))}\t{tasks}", *lines[1:]]) + "\n")
    ask("d")
    assert loads == []
    tasks.write_text("import handrail  # changed\n")
    assert ask("d") == ["deploy\tShip this commit. [31m"]
    assert loads == [str(project)]
    ask("d")
    assert len(loads) == 1


def test_a_project_without_handrail_is_left_to_invoke_and_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    loads: list[str] = []
    monkeypatch.setattr(refresh, "run_tasks", loads.append)
    (tmp_path / "tasks.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert [answer.run("zsh", ["inv", ""]) for _ in range(3)] == [answer.UNKNOWN] * 3
    assert len(loads) == 1


def test_the_cache_of_another_environment_or_project_is_not_believed(project: Path) -> None:
    path = answer.cache_path(str(project))
    assert answer.read_cache(path, str(project)) is not None
    assert answer.read_cache(path, str(project.parent)) is None
    Path(path).write_text(Path(path).read_text().replace(sys.prefix, "/elsewhere", 1))
    assert answer.read_cache(path, str(project)) is None


def test_a_key_press_imports_next_to_nothing(project: Path) -> None:
    code = (
        "import sys; before = set(sys.modules); from handrail.completion import answer;"
        "answer.run('zsh', ['inv', 'deploy', '--env', '']);"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    first, last = done.stdout.splitlines()
    assert first == "staging\tcanary"
    for heavy in ("json", "re", "typing", "subprocess", "pathlib", "invoke", "tomllib", "handrail.config"):
        assert f"'{heavy}'" not in last
