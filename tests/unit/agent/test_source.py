"""The agent as the text that travels to a host."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from handrail import agent

pytestmark = pytest.mark.unit

MODULES = sorted(Path(agent.__file__).parent.glob("*.py"))
# They travel beside the agent, to the same hosts.
PROGRAM = sorted((Path(agent.__file__).parents[1] / "hosts" / "program").glob("*.py"))
REHEARSAL = sorted((Path(agent.__file__).parent / "rehearsal").glob("*.py"))


@pytest.mark.parametrize("module", [*MODULES, *PROGRAM, *REHEARSAL], ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_each_module_is_python_3_8(module: Path) -> None:
    ast.parse(module.read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.parametrize(
    "module",
    [path for path in [*MODULES, *PROGRAM, *REHEARSAL] if path.stem != "__init__"],
    ids=lambda path: f"{path.parent.name}.{path.stem}",
)
def test_each_module_imports_the_standard_library_and_its_neighbours_only(module: Path) -> None:
    names = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    foreign = {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name for name in foreign if not name.startswith(("handrail.agent", "handrail.hosts.program"))} == set()


def test_the_text_that_travels_holds_every_module() -> None:
    tree = ast.parse(agent.source())
    table = next(node for node in ast.walk(tree) if isinstance(node, ast.Dict))
    names = {ast.literal_eval(key) for key in table.keys if key is not None}
    assert {f"handrail.agent.{path.stem}" for path in MODULES if path.stem != "__init__"} < names


def test_further_modules_travel_beside_the_agents() -> None:
    text = agent.source("handrail.hosts.program", main="handrail.hosts.program.main")
    assert "from handrail.hosts.program.main import main" in text
    for path in PROGRAM[1:]:
        assert f"'handrail.hosts.program.{path.stem}'" in text
    assert "'handrail.agent.wire'" in text
