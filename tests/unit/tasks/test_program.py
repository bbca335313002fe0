from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import invoke.main
import pytest
from invoke.program import Program

from handrail.tasks.program import HandrailProgram, adopt_running_program

pytestmark = pytest.mark.unit

TASKS = '''
from typing import Literal

import invoke
import handrail
from handrail.tasks.base import task


@task(group="deploy", example="inv ship --env staging", help={"env": "where to", "count": "how often"})
def ship(c, env: str, count: int = 1, unsafe_untested: bool = False):
    """Ship it."""
    c.printer.info(f"shipped to {env} {count} times")


@task(group="deploy", example="inv grow web=4", words="set", help={"env": "where", "set_": "process=number"})
def grow(c, env: str = "", set_: list[str] | None = None):
    """Grow it."""
    c.printer.info(f"grown {env} {set_}")


@task(group="deploy", example="inv weigh --two a b", pair="two", help={"two": "two words", "env": "where"})
def weigh(c, two: list[str] | None = None, env: str = ""):
    """Weigh two."""
    c.printer.info(f"weighed {two} {env}")


@task(
    group="check", example="inv jobs lint", word="job", words="entry", help={"job": "a", "entry": "x=y", "set_": "a=b"}
)
def jobs(c, job: str = "", entry: list[str] | None = None, set_: list[str] | None = None, all_: bool = False):
    """Run jobs."""
    c.printer.info(f"jobs {job!r} {entry} {set_} {all_}")


@task(group="check", example="inv switch on", positional=("state",), help={"state": "on or off"})
def switch(c, state: Literal["on", "off"]):
    """Switch it."""
    c.printer.info(f"switched {state}")


@invoke.task
def test(c):
    """Has the name of an environment."""


@invoke.task
def own_task(c, number=1):
    """Something of the project."""
    print("own", number)


namespace = handrail.collection(globals())
'''


@pytest.fixture
def inv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Run `inv` inside this process, in a project with tasks of its own."""
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.handrail]\napp = "shop"\n\n[tool.handrail.environments.staging]\nhosts = ["web-1"]\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setitem(sys.modules, "tasks", sys)
    for name in ("GITHUB_ACTIONS", "COLUMNS", "HANDRAIL_VERBOSE"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        program = Program(name="Invoke", binary="inv[oke]", version="test")
        monkeypatch.setattr(invoke.main, "program", program)
        monkeypatch.setattr(sys, "argv", ["inv", *words])
        code = 0
        try:
            program.run(["inv", *words])
        except SystemExit as end:
            code = int(end.code or 0)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


Inv = Callable[..., "tuple[int, str, str]"]


@pytest.mark.parametrize("words", [["--list"], []])
def test_the_list_is_grouped_and_the_projects_own_tasks_come_last(inv: Inv, words: list[str]) -> None:
    code, out, _ = inv(*words)
    lines = out.splitlines()
    assert code == 0
    assert lines.index("Deploy") < lines.index("Project")
    assert "Ship it." in next(line for line in lines if line.split()[:1] == ["ship"])
    assert lines.index("Project") < next(n for n, line in enumerate(lines) if line.split()[:1] == ["own-task"])


def test_help_shows_options_and_an_example(inv: Inv) -> None:
    code, out, _ = inv("--help", "ship")
    assert code == 0
    assert "Usage: inv ship [options]" in out
    assert "-e, --env TEXT          where to (required)" in out
    assert "    --count N           how often (default 1)" in out
    assert out.endswith("Example\n  inv ship --env staging\n")


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["on", "--help"]])
def test_help_of_a_task_that_expects_a_word_is_not_taken_for_that_word(inv: Inv, words: list[str]) -> None:
    code, out, err = inv("maintenance", *words)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: inv maintenance [on|off] [options]")


def test_help_of_a_plain_task_is_invokes_own(inv: Inv) -> None:
    _, out, _ = inv("own-task", "--help")
    assert "Docstring:" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["shpi"], "error: no task is called 'shpi'; did you mean 'ship'?"),
        (["--help", "shpi"], "error: no task is called 'shpi'; did you mean 'ship'?"),
        (["zzzzzz"], "error: no task is called 'zzzzzz'\nnext: inv --list"),
        (["ship", "--evn", "a"], "error: ship has no option --evn; did you mean '--env'?\nnext: inv --help ship"),
        (["ship", "--evn=a"], "error: ship has no option --evn; did you mean '--env'?\nnext: inv --help ship"),
        (["--lst"], "error: inv has no option --lst; did you mean '--list'?"),
        (["ship", "staging"], "error: no task is called 'staging'; did you mean 'ship --env staging'?"),
        (["maintenance", "of"], "error: maintenance: --state is 'of'; did you mean 'off'?"),
        (["completion", "zhs"], "error: completion: <shell> is 'zhs'; did you mean 'zsh'?"),
        (["maintenance", "on"], "error: maintenance: needs --env; known: staging\nnext: inv maintenance --env staging"),
        (["ship", "--env"], "error: ship: --env needs a value"),
        (["ship", "--env", "--count", "1"], "error: ship: --env needs a value"),
        (["ship", "-e", "a", "--count", "x"], "error: ship: --count is 'x', expected a whole number"),
        (["ship"], "error: ship: needs --env; known: staging\nnext: inv ship --env staging"),
        (["own-task", "--number", "x"], "error: invalid literal for int() with base 10: 'x'"),
        (["--list", "sandbx"], "error: nothing to list is called 'sandbx'; did you mean 'sandbox'?"),
    ],
)
def test_what_was_mistyped_is_named_with_the_nearest_word_and_exit_code_2(
    inv: Inv, words: list[str], message: str
) -> None:
    assert inv(*words) == (2, "", f"{message}\n")


def test_who_asks_for_json_gets_one_document_also_for_a_mistyped_line(inv: Inv) -> None:
    code, out, err = inv("ship", "--evn", "a", "--json")
    document = json.loads(out)
    assert code == document["exit_code"] == 2
    assert document["error"]["message"] == "ship has no option --evn; did you mean '--env'?"
    assert document["error"]["next"] == "inv --help ship"
    assert "did you mean '--env'?" in err


def test_a_forgotten_option_stops_the_line_before_its_first_task_ran(inv: Inv) -> None:
    code, out, err = inv("own-task", "ship")
    assert (code, out) == (2, "")
    assert "ship: needs --env" in err


def test_tasks_run_with_their_values(inv: Inv) -> None:
    assert inv("ship", "-e", "staging", "--count", "2", "own-task") == (0, "shipped to staging 2 times\nown 1\n", "")


def test_a_list_of_one_collection_and_a_depth_are_invokes_own(inv: Inv) -> None:
    assert "Available 'sandbox' tasks" in inv("--list", "sandbox")[1]
    assert "depth=1" in inv("--list", "--list-depth", "1")[1]


def test_a_program_of_another_kind_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fab(Program):
        """Somebody else's."""

    for program in (Fab(), Program(namespace=invoke.main.Program.__new__(Program)), None):  # type: ignore[arg-type]
        monkeypatch.setattr(invoke.main, "program", program)
        assert not adopt_running_program()
        assert not isinstance(program, HandrailProgram)


def test_an_invoke_of_another_shape_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program()
    monkeypatch.setattr(invoke.main, "program", program)
    monkeypatch.delattr(Program, "list_flat")
    assert not adopt_running_program()
    assert type(program) is Program


def test_listing_tasks_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("import handrail\n\nnamespace = handrail.collection()\n")
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "invoke", "--list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in run.stderr.splitlines()}
    heavy = {
        "rich",
        "fabric",
        "paramiko",
        "docker",
        "nox",
        "httpx",
        "msgspec",
        "dotenv",
        "tenacity",
        "packaging",
        "pip",
    }
    assert "handrail" in imported
    assert not imported & heavy


def test_an_option_for_a_pair_takes_two_words_whatever_they_are_called(
    inv: Callable[..., tuple[int, str, str]],
) -> None:
    code, out, _ = inv("weigh", "--two", "staging", "test", "--env", "x")
    assert (code, out) == (0, "weighed ['staging', 'test'] x\n")
    code, out, _ = inv("weigh", "--two", "staging", "own-task")
    assert (code, out) == (0, "weighed ['staging', 'own-task'] \n")
    code, out, _ = inv("weigh", "--two", "staging", "own-task", "own-task")
    assert (code, out) == (0, "weighed ['staging', 'own-task'] \nown 1\n")


def test_bare_words_go_to_the_option_of_their_task(inv: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = inv("grow", "--env", "test", "web=4", "worker=2")
    assert (code, err) == (0, "grown test ['web=4', 'worker=2']\n") or "['web=4', 'worker=2']" in out + err
    code, _, err = inv("own-task", "web=4")
    assert code == 2
    assert "web=4" in err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["jobs"], "jobs '' [] [] False"),
        (["jobs", "lint"], "jobs 'lint' [] [] False"),
        # The word right behind the task is its own, also where a task has that name.
        (["jobs", "ship", "x=1", "--all"], "jobs 'ship' ['x=1'] [] True"),
        (["jobs", "x=1", "y=2"], "jobs '' ['x=1', 'y=2'] [] False"),
        (["jobs", "--all", "x=1"], "jobs '' ['x=1'] [] True"),
        (["jobs", "--set", "A=b", "x=1"], "jobs '' ['x=1'] ['A=b'] False"),
    ],
)
def test_a_bare_word_behind_a_task_and_name_value_words_reach_their_options(
    inv: Callable[..., tuple[int, str, str]], line: list[str], said: str
) -> None:
    code, out, _ = inv(*line)
    assert (code, out.strip()) == (0, said)


def test_the_help_shows_the_bare_word(inv: Callable[..., tuple[int, str, str]]) -> None:
    assert "Usage: inv jobs [job] [options]" in inv("--help", "jobs")[1]


def test_a_word_that_is_needed_and_not_there_is_named_with_what_it_may_be(
    inv: Callable[..., tuple[int, str, str]],
) -> None:
    code, _, err = inv("switch")
    assert code == 2
    assert err.splitlines() == ["error: switch needs <state>: on, off", "next: inv --help switch"]
