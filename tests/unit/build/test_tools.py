from __future__ import annotations

import sys
from pathlib import Path

import pytest

from handrail.build import tools
from handrail.build.tools import find_uv, pip_command, tool_environment

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("UV_", "PIP_")) or name in ("VIRTUAL_ENV", "SOURCE_DATE_EPOCH"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ({"UV_DEFAULT_INDEX": "https://a"}, {"PIP_INDEX_URL": "https://a"}),
        ({"UV_INDEX_URL": "https://a"}, {"PIP_INDEX_URL": "https://a"}),
        ({"UV_INDEX": "corp=https://a https://b"}, {"PIP_EXTRA_INDEX_URL": "https://a https://b"}),
        ({"UV_FIND_LINKS": "/a,/b"}, {"PIP_FIND_LINKS": "/a /b"}),
        ({"PIP_INDEX_URL": "https://a"}, {"UV_DEFAULT_INDEX": "https://a"}),
        ({"PIP_EXTRA_INDEX_URL": "https://a https://b"}, {"UV_INDEX": "https://a https://b"}),
        ({"PIP_FIND_LINKS": "/a /b"}, {"UV_FIND_LINKS": "/a,/b"}),
        ({"UV_OFFLINE": "1"}, {"PIP_NO_INDEX": "1"}),
    ],
)
def test_what_is_set_for_one_tool_holds_for_the_other(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], added: dict[str, str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    values = tool_environment(7)
    assert given.items() <= values.items()
    assert added.items() <= values.items()


def test_what_is_set_for_both_passes_through_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"UV_INDEX_URL": "https://a", "PIP_INDEX_URL": "https://b", "PIP_NO_INDEX": "0", "UV_OFFLINE": "1"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert given.items() <= tool_environment(7).items()


def test_builds_are_dated_and_leave_the_active_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere")
    values = tool_environment(1234567890)
    assert values["SOURCE_DATE_EPOCH"] == "1234567890"
    assert "VIRTUAL_ENV" not in values


def test_pip_runs_with_this_interpreter_and_may_work_for_another() -> None:
    assert pip_command()[:3] == [sys.executable, "-m", "pip"]
    assert pip_command(Path("/opt/python3.12"))[3:5] == ["--python", "/opt/python3.12"]


def test_uv_is_found() -> None:
    assert Path(find_uv()).name == "uv"


def test_a_missing_uv_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(tools.missing_program("uv").__class__, match="uv was not found") as caught:
        find_uv()
    assert "pip install uv" in caught.value.next_step
