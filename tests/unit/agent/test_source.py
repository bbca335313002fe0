"""The agent as the text that travels to a host."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from handrail import agent
from handrail.agent.main import MODULES as MODULE_OF
from handrail.agent.main import operation

pytestmark = pytest.mark.unit

MODULES = sorted(Path(agent.__file__).parent.glob("*.py"))
# They travel beside the agent, to the same hosts.
PROGRAM = sorted((Path(agent.__file__).parents[1] / "hosts" / "program").glob("*.py"))
REHEARSAL = sorted((Path(agent.__file__).parent / "rehearsal").glob("*.py"))
# A release carries it to the same hosts.
SCHEDULER = Path(agent.__file__).parents[1] / "runtime" / "scheduler.py"
OTHERS = [*PROGRAM, *REHEARSAL, SCHEDULER]


@pytest.mark.parametrize("module", [*MODULES, *OTHERS], ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_each_module_is_python_3_8(module: Path) -> None:
    ast.parse(module.read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.parametrize(
    "module",
    [path for path in [*MODULES, *OTHERS] if path.stem != "__init__"],
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


def sent(data: bytes) -> list[str]:
    """Return what a host unpacks, part by part."""
    parts = []
    while data:
        length, _, rest = data.partition(b"\n")
        parts.append(zlib.decompress(rest[: int(length)]).decode())
        data = rest[int(length) :]
    return parts


def test_the_text_that_travels_holds_every_module_but_the_first_part() -> None:
    (text,) = sent(agent.text())
    names = {f"handrail.agent.{path.stem}" for path in MODULES if path.stem not in ("__init__", "starting")}
    assert set(json.loads(text)) == {"handrail", "handrail.agent", *names}


def test_further_modules_travel_beside_the_agents() -> None:
    first, text = sent(agent.program("handrail.hosts.program", main="handrail.hosts.program.main"))
    assert "start('', 'handrail.hosts.program.main', " in first
    assert '"""' not in first, "what only a reader needs does not travel"
    names = {f"handrail.hosts.program.{path.stem}" for path in PROGRAM if path.stem != "__init__"}
    assert names | {"handrail.hosts", "handrail.agent.wire"} <= set(json.loads(text))


def test_every_operation_is_there() -> None:
    for name in MODULE_OF:
        assert callable(operation(name))


def test_a_changed_module_is_another_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    before = agent._digest.__wrapped__()
    changed = {**agent.modules(), "handrail.agent.wire": "pass"}
    monkeypatch.setattr(agent, "modules", lambda *_: changed)
    assert agent._digest.__wrapped__() != before


def test_the_first_part_is_small() -> None:
    assert len(agent.command()) < 2048, "it travels to every host each time"


def test_the_first_part_holds_nothing_that_only_a_reader_needs() -> None:
    text = agent._starting()
    assert '"""' not in text
    assert "#" not in text
    compile(text, "first part", "exec")


def test_the_first_requests_are_served_before_what_comes_over_standard_input(tmp_path: Path) -> None:
    argv = shlex.split(agent.command([b'{"id":1,"op":"hello","root":"~/apps","app":"shop"}\n']))
    assert argv[:2] == ["exec", "python3"]
    done = subprocess.run(
        [sys.executable, *argv[2:]],
        input=agent.text() + b'{"id":2,"op":"lock","holder":{}}\n{"op":"bye","id":0}\n',
        capture_output=True,
        env={"HOME": str(tmp_path), "PATH": ""},
        check=True,
    )
    wanted, marker, *answers = done.stdout.decode().splitlines()
    assert (wanted, json.loads(marker)) == (agent.WANTED, {"marker": agent.MARKER})
    assert [json.loads(line)["id"] for line in answers if "id" in json.loads(line)] == [1, 2]


def test_a_rollback_does_not_wait_for_what_only_uploads_need(tmp_path: Path) -> None:
    names = ["hello", "lock", "begin", "activate", "verify", "settle", "switch", "commit", "retire"]
    requests = [{"id": number, "op": name, "root": "~/apps", "app": "shop"} for number, name in enumerate(names, 1)]
    argv = shlex.split(agent.command([json.dumps(request).encode() + b"\n" for request in requests]))
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *argv[2:]],
        input=agent.text() + b'{"op":"bye","id":0}\n',
        capture_output=True,
        env={"HOME": str(tmp_path), "PATH": ""},
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert "handrail.agent.proxy" in imported
    assert imported & {"_hashlib", "subprocess", "socket", "tempfile", "shutil", "logging"} == set()
