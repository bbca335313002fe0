from __future__ import annotations

import json
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from handrail.config.schema import Project, Setup
from handrail.errors import ConfigError, PreflightError, TaskFailedError
from handrail.setup import steps as setup_steps
from handrail.setup.dotenv_file import make_dotenv
from handrail.setup.editor import write_editor_settings
from handrail.setup.environment import (
    environment_commands,
    environment_variables,
    install_pythons,
    make_environment,
)
from handrail.setup.git_hooks import install_hooks
from handrail.setup.prerequisites import Found, Prerequisite, look, prerequisites, require, rows
from handrail.setup.services import development_values, initialise_database, start_services
from handrail.setup.steps import Step, Wishes, run_setup, steps
from handrail.testing import FakeRunner, RecordingPrinter

pytestmark = pytest.mark.unit

PROJECT = Project(app="shop", setup=Setup(compose_file="compose.yaml", database="python manage.py migrate"))
CONTRACT = (
    "# The database.\n# type: url, secret: yes\nDATABASE_URL=\n\n# Shown in the title.\n# type: string\nTITLE=Shop\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "shop"\n\n[tool.handrail]\napp = "shop"\n')
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "example.env").write_text(CONTRACT)
    return tmp_path


def step_names(root: Path, wishes: Wishes, project: Project = PROJECT) -> list[str]:
    return [step.name for step in steps(root, project, wishes, FakeRunner(), RecordingPrinter())]


def test_the_steps_follow_what_was_asked_for(root: Path) -> None:
    everything = ["environment", ".env", "hooks", "services", "database"]
    assert step_names(root, Wishes()) == everything
    assert step_names(root, Wishes(minimal=True)) == ["environment", ".env"]
    assert step_names(root, Wishes(skip_docker=True)) == ["environment", ".env", "hooks"]
    assert step_names(root, Wishes(editor=True, pythons=True))[-1] == "editor"
    assert step_names(root, Wishes(), Project(app="shop")) == ["environment", ".env", "hooks"]


def test_each_step_says_what_it_did(root: Path) -> None:
    runner = FakeRunner()
    for program, version in (("git", "git version 2.40.1"), ("uv", "uv 0.9.9"), ("python", "Python 3.12.1")):
        runner.answer(program, "--version", stdout=version)
    runner.answer(sys.executable, "--version", stdout="Python 3.12.1")
    runner.answer("ssh", "-V", stderr="OpenSSH_9.2p1 Debian-2")
    printer = RecordingPrinter()
    run_setup(root, Project(app="shop"), Wishes(minimal=True), runner, printer)
    assert printer.tables[0][2][0][:2] == ["git", "2.40.1"]
    assert any(".env" in line and "made from env/example.env" in line for line in printer.lines("info"))
    assert "ready" in printer.lines("success")[0]


def test_a_failed_step_is_named(root: Path) -> None:
    runner = FakeRunner()
    runner.answer("git", "--version", stdout="git version 2.40.1")
    runner.answer(sys.executable, "--version", stdout="Python 3.12.1")
    runner.answer("uv", "--version", stdout="uv 0.9.9")
    runner.answer("uv", "sync", returncode=1, stderr="the lock is old")
    with pytest.raises(TaskFailedError) as caught:
        run_setup(root, Project(app="shop"), Wishes(minimal=True), runner, RecordingPrinter())
    assert caught.value.step == "environment"
    assert caught.value.lines == ["the lock is old"]
    assert not (root / ".env").exists()


def test_dotenv_is_made_from_the_contract_for_its_owner_alone(root: Path) -> None:
    make_dotenv(root)
    path = root / ".env"
    assert "TITLE=Shop" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_existing_dotenv_is_never_touched_and_what_it_lacks_is_said(root: Path) -> None:
    path = root / ".env"
    path.write_text("TITLE=Mine\n")
    assert make_dotenv(root) == "kept as it is; env/example.env also has DATABASE_URL"
    assert path.read_text() == "TITLE=Mine\n"
    path.write_text("TITLE=Mine\nDATABASE_URL=\n")
    assert make_dotenv(root) == "kept as it is"


def test_without_a_variable_there_is_no_dotenv_and_the_reason_is_true(root: Path) -> None:
    (root / "env" / "example.env").write_text("# Nothing yet.\n")
    assert make_dotenv(root) == "env/example.env names no variable, so no .env"
    (root / "env" / "example.env").unlink()
    assert make_dotenv(root) == "no env/example.env, so no .env"
    assert not (root / ".env").exists()


def test_a_dotenv_that_git_would_take_is_a_warning(root: Path) -> None:
    for returncode, warned in ((1, True), (0, False), (128, False)):
        runner = FakeRunner()
        runner.answer("git", "--version", stdout="git version 2.40.1")
        runner.answer(sys.executable, "--version", stdout="Python 3.12.1")
        runner.answer("uv", "--version", stdout="uv 0.9.9")
        runner.answer("git", "check-ignore", returncode=returncode)
        printer = RecordingPrinter()
        run_setup(root, Project(app="shop"), Wishes(minimal=True), runner, printer)
        assert any("git does not ignore it" in line for line in printer.lines("warn")) is warned


def test_a_dotenv_that_git_has_is_a_warning(root: Path) -> None:
    runner = FakeRunner()
    runner.answer("git", "--version", stdout="git version 2.40.1")
    runner.answer(sys.executable, "--version", stdout="Python 3.12.1")
    runner.answer("uv", "--version", stdout="uv 0.9.9")
    runner.answer("git", "ls-files", stdout=".env\n")
    printer = RecordingPrinter()
    run_setup(root, Project(app="shop"), Wishes(minimal=True), runner, printer)
    assert any("git rm --cached .env" in line for line in printer.lines("warn"))


def test_a_slow_step_says_what_it_does_while_it_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_steps, "SLOW_SECONDS", 0.0)
    said = threading.Event()

    class Printer(RecordingPrinter):
        def info(self, text: str) -> None:
            super().info(text)
            said.set()

    printer = Printer()
    with setup_steps._announced(Step("environment", str, "uv installs the packages"), printer):
        assert said.wait(5)
    assert "uv installs the packages" in printer.text


def test_a_locked_project_is_synchronised_and_a_tree_gets_its_requirements(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_PROJECT_ENVIRONMENT", raising=False)

    def commands() -> list[str]:
        return [" ".join([Path(argv[0]).name, *argv[1:]]) for argv in environment_commands(root, PROJECT)]

    assert commands() == ["uv sync --quiet --all-extras"]
    (root / "uv.lock").write_text("")
    assert commands() == ["uv sync --quiet --locked --all-extras"]
    (root / "uv.lock").unlink()
    (root / "pyproject.toml").write_text('[tool.handrail]\napp = "shop"\n')
    (root / "requirements.txt").write_text("flask\n")
    assert commands() == ["uv venv --quiet .venv", "uv pip install --quiet --python .venv -r requirements.txt"]
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", "/opt/shop")
    assert commands() == ["uv venv --quiet /opt/shop", "uv pip install --quiet --python /opt/shop -r requirements.txt"]


@pytest.fixture
def tree(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plain tree whose environment has Python 3.12.4."""
    monkeypatch.delenv("UV_PROJECT_ENVIRONMENT", raising=False)
    (root / "pyproject.toml").write_text('[tool.handrail]\napp = "shop"\n')
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (root / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.12.4\n")
    return root


@pytest.mark.parametrize(
    ("python", "is_kept"),
    [
        ("", True),
        ("3.12", True),
        ("3.12.4", True),
        (">=3.13", True),
        ("3.13", False),
        ("3.1", False),
        ("3.12.5", False),
    ],
)
def test_a_trees_environment_is_made_anew_for_another_python(tree: Path, python: str, is_kept: bool) -> None:
    commands = environment_commands(tree, Project(app="shop", setup=Setup(python=python)))
    assert [argv[1:] for argv in commands] == (
        [] if is_kept else [["venv", "--quiet", "--clear", "--python", python, ".venv"]]
    )


def test_a_trees_environment_whose_interpreter_is_gone_is_made_anew(tree: Path) -> None:
    (tree / ".venv" / "bin" / "python").unlink()
    (tree / ".venv" / "bin" / "python").symlink_to("/nowhere/python3.12")
    assert [argv[1:] for argv in environment_commands(tree, Project(app="shop"))] == [
        ["venv", "--quiet", "--clear", ".venv"]
    ]


def test_the_environment_that_this_runs_in_is_not_deleted(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tree / ".venv"))
    runner = FakeRunner()
    with pytest.raises(PreflightError, match=r"\.venv has another Python than setup.python, 3.13, and inv runs in it"):
        make_environment(tree, Project(app="shop", setup=Setup(python="3.13")), runner)
    assert runner.calls == []


def test_uv_works_on_the_projects_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    monkeypatch.delenv("UV_PROJECT_ENVIRONMENT", raising=False)
    values = environment_variables()
    assert "VIRTUAL_ENV" not in values
    assert values["UV_PROJECT_ENVIRONMENT"] == ".venv"


def test_only_missing_interpreters_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from handrail.setup import environment

    monkeypatch.setattr(environment, "find_pythons", lambda versions, runner: {"3.11": Path("/x")})
    runner = FakeRunner()
    assert install_pythons(["3.11"], runner) == "3.11 are here"
    assert runner.calls == []
    install_pythons(["3.11", "3.12"], runner)
    assert runner.commands[0][1:] == ["python", "install", "--no-bin", "3.12"]


def test_a_missing_or_old_prerequisite_is_refused_with_how_to_get_it() -> None:
    runner = FakeRunner()
    runner.answer("git", missing=True)
    runner.answer("uv", stdout="uv 0.4.1")
    runner.answer(sys.executable, stdout="Python 3.12.1")
    found = look(prerequisites(Project(app="shop")), runner)
    with pytest.raises(PreflightError, match="git and uv must be installed first") as caught:
        require(found)
    assert any("is 0.4.1, at least 0.9 is needed" in line for line in caught.value.lines)
    assert rows(found)[0][1] == "missing"


def test_who_lacks_docker_alone_is_told_how_to_go_without_it() -> None:
    runner = FakeRunner()
    for words, said in {("git",): "git 2.40", ("uv",): "uv 0.9.9", (sys.executable,): "Python 3.12.1"}.items():
        runner.answer(*words, stdout=said)
    project = Project(app="shop", setup=Setup(compose_file="compose.yaml"))
    with pytest.raises(PreflightError, match="docker and docker compose must be") as caught:
        require(look(prerequisites(project), runner))
    assert caught.value.next_step.endswith("inv setup --skip-docker")
    runner.answer("git", missing=True)
    with pytest.raises(PreflightError) as caught:
        require(look(prerequisites(project), runner))
    assert "--skip-docker" not in caught.value.next_step


def test_versions_compare_as_numbers_and_advice_follows_the_system() -> None:
    need = Prerequisite("x", ("x",), (2, 9), {"darwin": "brew", "": "else"}, "all")
    assert Found(need, "2.10").is_good
    assert not Found(need, "2.8.9").is_good
    assert (need.how_to_get("darwin"), need.how_to_get("freebsd")) == ("brew", "else")


def test_docker_is_needed_only_where_services_are_declared() -> None:
    def names(project: Project, *, skip: bool = False) -> set[str]:
        return {need.name for need in prerequisites(project, skip_docker=skip)}

    assert "docker" in names(PROJECT)
    assert "docker" not in names(PROJECT, skip=True)
    assert "docker" not in names(Project(app="shop"))


def test_services_come_up_through_compose_and_are_waited_for(root: Path) -> None:
    (root / "compose.yaml").write_text("services: {}\n")
    runner = FakeRunner()
    assert start_services(root, PROJECT, runner, lambda line: None) == "compose.yaml is up"
    assert runner.commands[0][:4] == ["docker", "compose", "--file", "compose.yaml"]
    assert "--wait" in runner.commands[0]


def test_a_compose_file_that_is_not_there_is_named_with_its_line(root: Path) -> None:
    with (root / "pyproject.toml").open("a") as stream:
        stream.write('\n[tool.handrail.setup]\ncompose_file = "compose.yaml"\n')
    with pytest.raises(ConfigError, match=r"pyproject\.toml:8: 'compose\.yaml' does not exist"):
        start_services(root, PROJECT, FakeRunner(), lambda line: None)


def test_the_database_command_meets_the_values_of_dotenv(root: Path) -> None:
    (root / ".env").write_text("DATABASE_URL=postgres://here\nEMPTY=\n")
    runner = FakeRunner()
    initialise_database(root, PROJECT, runner, lambda line: None)
    call = runner.calls[0]
    assert call.argv == ["python", "manage.py", "migrate"]
    assert call.env is not None
    assert call.env["DATABASE_URL"] == "postgres://here"
    assert "EMPTY" not in call.env
    assert call.env["PATH"].startswith(str(root / ".venv" / "bin") + os.pathsep)


def test_the_process_environment_wins_over_dotenv(root: Path) -> None:
    (root / ".env").write_text("DATABASE_URL=postgres://here\n")
    assert development_values(root, {"DATABASE_URL": "postgres://there"})["DATABASE_URL"] == "postgres://there"


def test_editor_settings_are_added_and_nobodys_choice_is_changed(root: Path) -> None:
    path = root / ".vscode" / "settings.json"
    path.parent.mkdir()
    path.write_text('{"files.exclude": {".nox": false}, "editor.tabSize": 3}')
    assert write_editor_settings(root) == ".vscode/settings.json written"
    settings = json.loads(path.read_text())
    assert settings["editor.tabSize"] == 3
    assert settings["files.exclude"] == {".nox": False, "**/__pycache__": True}
    assert settings["python.defaultInterpreterPath"].endswith(".venv/bin/python")
    assert write_editor_settings(root) == ".vscode/settings.json has them"


def test_editor_settings_with_comments_are_left_alone(root: Path) -> None:
    path = root / ".vscode" / "settings.json"
    path.parent.mkdir()
    path.write_text("{\n  // mine\n}\n")
    assert "left alone" in write_editor_settings(root)
    assert path.read_text() == "{\n  // mine\n}\n"


def test_hooks_are_not_forced_on_a_project_without_any_or_without_git(root: Path) -> None:
    assert install_hooks(root, FakeRunner()) == "none: no .pre-commit-config.yaml"
    (root / ".pre-commit-config.yaml").write_text("repos: []\n")
    runner = FakeRunner()
    runner.answer("git", "rev-parse", "--is-inside-work-tree", returncode=128)
    assert install_hooks(root, runner) == "not installed: this is no git repository"


def test_somebodys_hooks_path_is_respected(root: Path) -> None:
    (root / ".pre-commit-config.yaml").write_text("repos: []\n")
    runner = FakeRunner()
    runner.answer("git", "rev-parse", "--is-inside-work-tree", stdout="true\n")
    runner.answer("git", "config", "core.hooksPath", stdout="/home/me/hooks\n")
    assert "core.hooksPath is /home/me/hooks" in install_hooks(root, runner)
    assert not [argv for argv in runner.commands if "install" in argv]


def test_installed_hooks_are_not_installed_again(root: Path) -> None:
    (root / ".pre-commit-config.yaml").write_text("repos: []\n")
    hook = root / "hook"
    hook.write_text(f"# File generated by pre-commit\nINSTALL_PYTHON={sys.executable}\n")
    runner = FakeRunner()
    runner.answer("git", "rev-parse", "--is-inside-work-tree", stdout="true\n")
    runner.answer("git", "rev-parse", "--git-path", stdout=f"{hook}\n")
    assert install_hooks(root, runner) == "installed"
    hook.write_text("#!/bin/sh\n# mine\n")
    assert install_hooks(root, runner) == "installed now"
    assert runner.commands[-1][1:] == ["install"], "pre-commit keeps a hook that is not its own"
