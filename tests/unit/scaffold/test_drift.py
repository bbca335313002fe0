from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from handrail.errors import ConfigError, TaskFailedError, UsageError
from handrail.scaffold import drift as drifting
from handrail.scaffold.adopt import Wishes, adopt, check, update
from handrail.scaffold.ledger import FILE, ledger_text, read_ledger
from handrail.testing import FakeRunner, RecordingPrinter

pytestmark = pytest.mark.unit

Repository = Callable[[Mapping[str, str]], Path]

BOOTSTRAP = "scripts/bootstrap"
CI = ".github/workflows/ci.yml"
HOOKS = ".pre-commit-config.yaml"


@pytest.fixture
def adopted(repository: Repository) -> Path:
    files = {
        "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\ndependencies = ["flask", "gunicorn"]\n',
        "main.py": "from flask import Flask\napp = Flask(__name__)\n",
        HOOKS: "repos:\n- repo: mine\n  hooks: []\n",
    }
    root = repository(files)
    adopt(root, Wishes(yes=True, lock=False), FakeRunner(), RecordingPrinter())
    return root


def sentences(root: Path) -> list[str]:
    found = drifting.find_drift(root)
    return [*found.behind, *found.by_hand]


def test_fresh_from_init_nothing_has_drifted(adopted: Path) -> None:
    assert sentences(adopted) == []
    assert check(adopted, RecordingPrinter())["behind"] == []


def test_a_managed_file_changed_by_hand_is_named_with_its_line_and_left_alone(adopted: Path) -> None:
    path = adopted / CI
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], "# mine\n", *lines[2:]]))
    mine = path.read_text()
    with pytest.raises(TaskFailedError) as caught:
        check(adopted, RecordingPrinter())
    assert caught.value.exit_code == 1
    assert f"{CI}: changed by hand (line 3 of it)" in sentences(adopted)
    update(adopted, RecordingPrinter())
    assert path.read_text() == mine


def test_a_missing_managed_file_comes_back(adopted: Path) -> None:
    (adopted / BOOTSTRAP).unlink()
    assert sentences(adopted) == [f"{BOOTSTRAP}: missing"]
    update(adopted, RecordingPrinter())
    assert (adopted / BOOTSTRAP).stat().st_mode & 0o111
    assert sentences(adopted) == []


def test_a_script_that_lost_its_bit_gets_it_back(adopted: Path) -> None:
    (adopted / BOOTSTRAP).chmod(0o644)
    assert sentences(adopted) == [f"{BOOTSTRAP} is not executable"]
    update(adopted, RecordingPrinter())
    assert (adopted / BOOTSTRAP).stat().st_mode & 0o111


def test_what_a_newer_handrail_writes_differently_is_updated(adopted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handrail.scaffold.write.files.bootstrap_text", lambda: "#!/bin/sh\n# newer\n")
    assert sentences(adopted) == [f"{BOOTSTRAP}: this version of Handrail writes another one"]
    update(adopted, RecordingPrinter())
    assert (adopted / BOOTSTRAP).read_text() == "#!/bin/sh\n# newer\n"
    assert sentences(adopted) == []


def test_only_the_block_of_a_shared_file_is_updated(adopted: Path) -> None:
    hooks = adopted / HOOKS
    hooks.write_text(hooks.read_text() + "# mine, below\n")
    pyproject = adopted / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('lint = "errors"', 'lint = "all"'))
    assert sentences(adopted) == [f"{HOOKS}, Handrail's block: this version of Handrail writes another one"]
    update(adopted, RecordingPrinter())
    text = hooks.read_text()
    assert text.startswith("repos:\n- repo: mine\n")
    assert text.endswith("# mine, below\n")
    assert "ruff format" in text
    assert sentences(adopted) == []


def test_a_file_that_the_ledger_calls_yours_is_never_drift(adopted: Path) -> None:
    path = adopted / FILE
    text = path.read_text()
    start = text.index(f'[files."{CI}"]')
    path.write_text(text[:start] + text[start:].replace('"managed"', '"yours"', 1))
    (adopted / CI).write_text("on: push\n")
    assert sentences(adopted) == []
    update(adopted, RecordingPrinter())
    assert (adopted / CI).read_text() == "on: push\n"


def test_seeded_files_are_the_projects_own(adopted: Path) -> None:
    (adopted / "tasks.py").write_text("# all mine\n")
    (adopted / "env/sandbox.env").unlink()
    assert sentences(adopted) == []


def test_a_library_that_becomes_a_service_is_told_of_its_workflow(repository: Repository) -> None:
    root = repository({"pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n', "shop/__init__.py": ""})
    adopt(root, Wishes(yes=True, lock=False), FakeRunner(), RecordingPrinter())
    pyproject = root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + '\n[tool.handrail.service]\ncommand = "python -m shop"\n')
    assert any(sentence.startswith(".github/workflows/deploy.yml: missing") for sentence in sentences(root))


def test_a_repository_that_was_never_adopted_is_told_so(repository: Repository) -> None:
    with pytest.raises(UsageError, match="nothing was written by handrail init"):
        drifting.find_drift(repository({"pyproject.toml": ""}))


@pytest.mark.parametrize("text", ["<<<<<<< ours\n", 'version = "1"\n[files."a"]\nowner = "mine"\n'])
def test_a_ledger_that_cannot_be_read_is_one_line(repository: Repository, text: str) -> None:
    with pytest.raises(ConfigError, match=r"^\.handrail\.lock\.toml: "):
        read_ledger(repository({FILE: text}))


def test_the_ledger_reads_what_it_writes(adopted: Path) -> None:
    ledger = read_ledger(adopted)
    assert ledger_text(ledger) == (adopted / FILE).read_text()
    assert ledger.files[BOOTSTRAP].owner == "managed"
    assert ledger.files["tasks.py"].owner == "seeded"
    assert ledger.files["pyproject.toml"].owner == "yours"


def test_hooks_that_cannot_be_put_back_are_one_sentence_and_no_work_for_an_update(adopted: Path) -> None:
    (adopted / HOOKS).write_text("repos: [\n")
    assert sentences(adopted) == [
        f"{HOOKS}, Handrail's block: missing, and there is no plain list `repos:` to put it into"
    ]
    with pytest.raises(TaskFailedError) as caught:
        check(adopted, RecordingPrinter())
    assert 'owner = "yours"' in caught.value.next_step


def test_line_ends_that_git_checks_out_are_no_change_and_stay(adopted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (HOOKS, ".gitignore", CI):
        path = adopted / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert sentences(adopted) == []
    monkeypatch.setattr("handrail.scaffold.write.ignored.ignored_block", lambda text: "/newer/\n")
    assert sentences(adopted) == [".gitignore, Handrail's block: this version of Handrail writes another one"]
    update(adopted, RecordingPrinter())
    written = (adopted / ".gitignore").read_bytes()
    assert b"/newer/\r\n" in written
    assert written.count(b"\n") == written.count(b"\r\n")
    assert sentences(adopted) == []


DEPLOY = ".github/workflows/deploy.yml"


def test_a_file_that_handrail_did_not_write_is_never_written_over(repository: Repository) -> None:
    root = repository({"pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n', "shop/__init__.py": ""})
    adopt(root, Wishes(yes=True, lock=False), FakeRunner(), RecordingPrinter())
    pyproject = root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + '\n[tool.handrail.service]\ncommand = "python -m shop"\n')
    (root / DEPLOY).write_text("on: push\n")
    update(root, RecordingPrinter())
    assert (root / DEPLOY).read_text() == "on: push\n"
    assert sentences(root) == [f"{DEPLOY}: handrail init did not write it, and would write another one"]


def test_a_planned_update_shows_its_changes_and_writes_nothing(adopted: Path) -> None:
    (adopted / BOOTSTRAP).unlink()
    ledger = (adopted / FILE).read_text()
    printer = RecordingPrinter()
    document = update(adopted, printer, plan=True)
    assert (document["written"], document["planned"]) == ([], [BOOTSTRAP, FILE])
    assert "+#!/bin/sh" in printer.text
    assert not (adopted / BOOTSTRAP).exists()
    assert (adopted / FILE).read_text() == ledger
    assert not printer.lines("success")


def test_what_lies_behind_a_symbolic_link_is_left_alone_as_init_left_it(repository: Repository) -> None:
    root = repository({"pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n', "conf/ignored": "dist/\n"})
    (root / ".gitignore").symlink_to("conf/ignored")
    adopt(root, Wishes(yes=True, lock=False), FakeRunner(), RecordingPrinter())
    assert sentences(root) == []
    update(root, RecordingPrinter())
    assert (root / ".gitignore").is_symlink()
    assert (root / "conf/ignored").read_text() == "dist/\n"
