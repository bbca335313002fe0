from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import invoke
import pytest
from invoke.collection import Collection

import handrail
from handrail.tasks.base import HandrailTask, task
from handrail.tasks.describe import catalogue

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def keep_bytecode_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)


def ours() -> dict[str, HandrailTask]:
    collection = handrail.collection()
    return {name: collection[name] for name in collection.task_names}


def test_every_promised_task_is_there() -> None:
    promised = (
        "setup lint typecheck test build check deploy rollback releases status logs env health smoke"
        " host.setup sandbox.up sandbox.down sandbox.status"
    )
    assert set(promised.split()) <= set(ours())


def test_every_task_explains_itself() -> None:
    for name, found in ours().items():
        first = str(found.__doc__).partition("\n")[0]
        assert found.group, name
        assert found.example.startswith(f"inv {name}"), name
        assert first.endswith("."), name
        for option in found.options():
            assert option.help, f"{name} --{option.names[0]}"


def test_every_task_is_one_line_in_a_list_of_80_columns() -> None:
    tasks = ours()
    column = max(map(len, tasks))
    long = {
        name: len(line) - (75 - column)
        for name, found in tasks.items()
        if len(line := str(found.__doc__).partition("\n")[0]) > 75 - column
    }
    assert not long, f"too long by so many characters: {long}"


def test_every_task_with_an_environment_takes_it_as_dash_e() -> None:
    letters = {option.names for found in ours().values() for option in found.options() if option.names[0] == "env"}
    assert letters == {("env", "e")}


def test_a_projects_own_tasks_and_collections_join_and_win() -> None:
    @task(group="check", example="inv lint")
    def lint(c: object) -> None:
        """Our own lint."""

    @invoke.task
    def extra(c: object) -> None:
        """Something else."""

    docs = Collection("docs", extra)
    collection = handrail.collection({"lint": lint, "extra": extra, "docs": docs, "namespace": Collection("x", extra)})
    assert collection["lint"] is lint
    assert {"extra", "docs.extra"} <= set(collection.task_names)
    assert "x.extra" not in collection.task_names


def test_a_project_may_have_a_task_where_handrail_has_a_collection() -> None:
    @invoke.task
    def sandbox(c: object) -> None:
        """Our own sandbox."""

    assert handrail.collection({"sandbox": sandbox})["sandbox"] is sandbox


def test_a_task_of_a_collection_knows_the_name_that_is_typed() -> None:
    assert ours()["sandbox.up"].path == "sandbox.up"


def test_the_public_surface_is_small() -> None:
    assert handrail.__all__ == ["__version__", "collection"]


def test_the_version_is_that_of_the_package() -> None:
    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert declared is not None
    assert handrail.__version__ == declared[1]


def test_the_toolkit_is_used_on_itself_with_one_task_of_its_own() -> None:
    text = (ROOT / "tasks.py").read_text()
    assert text.endswith("namespace = handrail.collection(globals())\n")
    assert re.findall(r"^def (\w+)", text, re.MULTILINE) == ["docs"]


def test_the_document_of_all_tasks_has_what_a_program_needs_to_call_them() -> None:
    @invoke.task(help={"name": "whom"})
    def greet(c: object, name: str = "you", loud: bool = True) -> None:
        """Say hello."""

    described = {entry["name"]: entry for entry in catalogue(handrail.collection({"greet": greet}))["tasks"]}
    assert set(described) == {*ours(), "greet"}
    options = {option["flags"][0]: option for option in described["deploy"]["options"]}
    assert options["--env"] == {
        "flags": ["--env", "-e"], "type": "text", "choices": [], "values": "environment", "default": None,
        "required": True, "repeatable": False, "positional": False,
        "help": "the environment, as declared in pyproject.toml",
    }  # fmt: skip
    assert (options["--wait"]["type"], options["--wait"]["default"]) == ("number", 0.0)
    (state,) = [option for option in described["maintenance"]["options"] if option["positional"]]
    assert (state["choices"], state["required"]) == (["on", "off"], False)
    assert described["greet"]["group"] == "project"
    name, loud = described["greet"]["options"]
    assert (name["flags"], name["default"], name["help"]) == (["--name", "-n"], "you", "whom")
    assert loud["flags"] == ["--loud", "-l", "--no-loud"]
    assert json.loads(json.dumps(described)) == described
