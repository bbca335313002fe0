"""The console script ``handrail`` speaks of itself: who types it may have no inv yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from handrail.tasks.init_program import main
from handrail.tasks.rerun import as_typed, laptop_line

pytestmark = pytest.mark.unit


Typed = Callable[..., tuple[object, str]]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Typed:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[object, str]:
        monkeypatch.setattr("sys.argv", ["/x/bin/handrail", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capfd.readouterr()
        return ended.value.code or 0, captured.out + captured.err

    return run


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 0, "handrail --help <task> shows"),
        (("--help",), 0, "init   Make this repository"),
        (("init", "--help"), 0, "Usage: handrail init [options]"),
        (("init", "--help"), 0, "  handrail init --check"),
        (("init", "--yse"), 2, "did you mean '--yes'?\nnext: handrail --help init"),
        (("doctor", "--fix"), 2, "doctor is a task of adopted repositories: inv doctor\nnext: handrail init"),
        (("inti",), 2, "did you mean 'init'?"),
    ],
)
def test_what_it_says_can_be_typed_without_inv(typed: Typed, words: tuple[str, ...], code: int, said: str) -> None:
    ended, text = typed(*words)
    assert ended == code
    assert said in text
    assert "--prompt-for-sudo-password" not in text


def test_a_failed_init_is_run_again_as_it_was_typed() -> None:
    assert laptop_line(["/x/bin/handrail", "init", "--yes"]) == "handrail init --yes"
    assert as_typed("inv --help init", ["/x/bin/inv"]) == "inv --help init"
