"""A fingerprint tells two machines apart and gives no secret away."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handrail.commands import Runner
from handrail.config.load import load_project
from handrail.doctor.differences import differences
from handrail.doctor.fingerprint import read, take, write
from handrail.errors import UsageError
from handrail.tasks.base import TaskContext
from handrail.tasks.fingerprint import fingerprint
from handrail.testing.printer import RecordingPrinter

pytestmark = pytest.mark.unit

HERE: dict[str, Any] = {
    "format": 1,
    "git": {"commit": "a" * 40, "dirty": False, "autocrlf": ""},
    "lock": {"uv.lock": "1"},
    "python": {"version": "3.12.1", "implementation": "CPython", "build": "x", "optimize": 0},
    "packages": {"flask": "3.0", "ruff": "0.12"},
    "tools": {"git": "2.40", "python": "3.12.1"},
    "locale": {"name": "C.UTF-8", "encoding": "utf-8"},
    "time": {"zone": "UTC", "offset": 0},
    "system": {"name": "Linux", "umask": "0022", "cpus": 2},
    "variables": {"hashed": {"TZ": "1"}, "named": ["SHOP_KEY"]},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "example.env").write_text(
        "# type: string, needed by: app, secret: no\nREGION=\n\n# type: string, needed by: app, secret: yes\nPIN=\n"
    )
    (tmp_path / "pyproject.toml").write_text('[tool.handrail]\napp = "shop"\n')
    return tmp_path


def changed(**parts: dict[str, Any]) -> dict[str, Any]:
    other = copy.deepcopy(HERE)
    for name, values in parts.items():
        other[name].update(values)
    return other


@pytest.mark.security
def test_only_variables_that_cannot_be_secret_are_hashed(root: Path) -> None:
    environ = {
        "REGION": "zq-eu",
        "PIN": "zq1234",
        "TZ": "UTC",
        "UV_INDEX_URL": "https://user:word@index.example/simple",
        "PIP_TOKEN": "zqabc",
        "UNKNOWN": "zq0000",
    }

    made = take(root, load_project(root), Runner(), environ)
    text = json.dumps(made)

    assert set(made["variables"]["hashed"]) == {"REGION", "TZ"}
    assert made["variables"]["named"] == ["PIN", "PIP_TOKEN", "UNKNOWN", "UV_INDEX_URL"]
    assert "zq" not in text
    assert "user:word" not in text


def test_a_machine_is_like_itself(root: Path) -> None:
    project = load_project(root)

    one, two = (take(root, project, Runner(), {"REGION": "eu"}) for _ in range(2))

    assert differences(one, two, "ci.json") == ([], [])
    assert {"format", "git", "lock", "packages", "python", "system", "tools", "time", "locale"} <= set(one)


def test_what_explains_most_comes_first() -> None:
    there = changed(
        git={"commit": "b" * 40, "dirty": True},
        lock={"uv.lock": "2"},
        python={"version": "3.11.9"},
        packages={"ruff": "0.11", "extra": "1"},
        tools={"git": "2.30"},
        locale={"encoding": "ascii"},
        time={"zone": "JST", "offset": 32400},
        system={"umask": "0077", "cpus": 64},
        variables={"hashed": {"TZ": "2", "CI": "x"}, "named": ["OTHER"]},
    )

    sentences, rest = differences(HERE, there, "ci.json", known={"SHOP_KEY"})

    assert sentences == [
        "another commit: aaaaaaaaaaaa here, bbbbbbbbbbbb in ci.json",
        "the working tree in ci.json has changes that no commit holds",
        "uv.lock differs: other versions may be installed",
        "ruff is 0.12 here and 0.11 in ci.json",
        "extra 1 is installed in ci.json only",
        "Python is 3.12.1 here and 3.11.9 in ci.json",
        "SHOP_KEY is set here only",
        "CI is set in ci.json only",
        "TZ has another value here than in ci.json",
        "git is 2.40 here and 2.30 in ci.json",
        "the encoding of text files: utf-8 here, ascii in ci.json (reading one can fail on one side)",
        "the time zone: UTC here, JST in ci.json (dates near midnight differ)",
        "the umask: 0022 here, 0077 in ci.json (new files get other permissions)",
        "the number of processors: 2 here, 64 in ci.json (tests run in another order, side by side)",
    ]
    assert rest == ["OTHER"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*HERE, "hashed", "named"]), inner),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(list(HERE)), JSON))
def test_a_document_of_any_shape_can_be_compared(there: dict[str, Any]) -> None:
    sentences, _ = differences(HERE, there, "ci.json")
    assert all(isinstance(sentence, str) for sentence in sentences)


def test_the_task_writes_and_compares(root: Path) -> None:
    printer = RecordingPrinter()
    fingerprint(TaskContext(printer, root), output=root / "reports" / "ci.json")
    assert "by name alone" in printer.text
    document = read(root / "reports" / "ci.json", "shop")
    document["time"]["offset"] = 12345
    write(root / "ci.json", document)

    printer = RecordingPrinter()
    fingerprint(TaskContext(printer, root), diff=root / "ci.json")

    assert printer.documents[-1]["equal"] is False
    assert any("time zone" in sentence for sentence in printer.documents[-1]["differences"])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "app": "shop"}', "\xff"])
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text, "latin-1")

    with pytest.raises(UsageError, match="is no fingerprint") as caught:
        read(tmp_path / "x.json", "shop")
    assert "x.json" not in caught.value.next_step, "it would be written over"
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "missing.json", "shop")


def test_a_fingerprint_of_another_project_is_compared_with_nothing(root: Path) -> None:
    made = take(root, load_project(root), Runner(), {})
    write(root / "x.json", {**made, "app": "other"})

    with pytest.raises(UsageError, match="is a fingerprint of 'other', and this project is 'shop'"):
        read(root / "x.json", "shop")


def test_many_packages_that_one_side_lacks_are_one_sentence() -> None:
    there = changed(packages={f"p{number}": "1" for number in range(9)})

    sentences, _ = differences(HERE, there, "ci.json")

    assert "9 packages are installed in ci.json only: p0 1, p1 1, p2 1, p3 1, p4 1 …" in sentences


def test_what_neither_side_has_is_no_difference() -> None:
    sentences, _ = differences({"git": {"autocrlf": ""}, "python": {"optimize": ""}}, {}, "ci.json")

    assert sentences == []
