"""``inv doctor`` shows what each part found, repairs what loses nothing, and is red only for errors."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from handrail.commands import Runner
from handrail.config.load import load_project
from handrail.diagnosis import Addition, Command, Diagnosis, ModeChange, Replacement
from handrail.doctor.examination import examine
from handrail.doctor.machine import look_at_machine
from handrail.doctor.mending import mend
from handrail.doctor.project import look_at_project
from handrail.doctor.report import as_markdown, counted, document, require_well, show_part
from handrail.errors import TaskFailedError
from handrail.parity.look import look
from handrail.tasks.base import TaskContext
from handrail.tasks.doctor import doctor
from handrail.testing.fake_runner import FakeRunner
from handrail.testing.printer import RecordingPrinter

pytestmark = pytest.mark.unit

ERROR = Diagnosis("a-code", "error", "this is wrong", "ci.yml", 3, mend="do that")
WARNING = Diagnosis("b-code", "warning", "this is odd", host="web1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "pyproject.toml").write_text('[tool.handrail]\napp = "shop"\n')
    return tmp_path


def test_errors_come_first_each_with_place_code_and_what_to_do() -> None:
    printer = RecordingPrinter()

    show_part("parity", [WARNING, ERROR], "", printer)

    text = printer.text
    assert text.index("ci.yml:3") < text.index("web1: this is odd [b-code]")
    assert "this is wrong [a-code]" in text
    assert "do that" in text


def test_a_document_holds_every_finding_and_whether_it_is_well() -> None:
    found = document({"machine": [], "parity": [ERROR]})

    assert found["ok"] is False
    assert found["findings"][0]["code"] == "a-code"
    assert json.loads(json.dumps(found)) == found
    assert document({"parity": [WARNING]})["ok"] is True


def test_the_page_of_a_ci_job_has_every_finding_in_a_table() -> None:
    text = as_markdown({"machine": [], "parity": [ERROR]})

    assert "| ❌ | parity | `a-code` | ci.yml:3 | this is wrong |" in text
    assert "✅ machine" in text


def test_only_an_error_is_red() -> None:
    printer = RecordingPrinter()
    require_well([WARNING], printer, fixable=False)

    with pytest.raises(TaskFailedError, match="1 error, 1 warning") as caught:
        require_well([ERROR, WARNING], printer, fixable=True)
    assert "--fix" in caught.value.next_step
    assert counted([]) == "nothing"


def test_a_repair_changes_its_line_alone_and_says_so(root: Path) -> None:
    (root / "hooks.yaml").write_bytes(b"rev: v1.0\r\nrev: v1.0 # two\r\n")
    (root / "x.secrets.env").write_text("")
    repairs = (
        Replacement("hooks.yaml", 2, "v1.0", "v2.0"),
        Addition(".gitignore", ".env"),
        ModeChange("x.secrets.env", 0o600),
        Command(("git", "config", "a.b", "c")),
    )

    done, failed = mend(root, [Diagnosis("x", "error", "m", repair=repair) for repair in repairs], Runner())

    assert failed == []
    assert done[0] == "hooks.yaml:2: v1.0 becomes v2.0"
    assert (root / "hooks.yaml").read_bytes() == b"rev: v1.0\r\nrev: v2.0 # two\r\n"
    assert (root / ".gitignore").read_text() == ".env\n"
    assert (root / "x.secrets.env").stat().st_mode & 0o777 == 0o600
    assert Runner().run(["git", "config", "a.b"], cwd=root).stdout == "c\n"


def test_a_line_that_is_no_longer_what_was_seen_is_left_alone(root: Path) -> None:
    (root / "hooks.yaml").write_text("rev: v1.5\n")
    gone = Diagnosis("x", "error", "m", repair=Replacement("hooks.yaml", 1, "v1.0", "v2.0"))
    beyond = Diagnosis("x", "error", "m", repair=Replacement("hooks.yaml", 9, "v1.0", "v2.0"))

    done, failed = mend(root, [gone, beyond], Runner())

    assert (done, len(failed)) == ([], 2)
    assert (root / "hooks.yaml").read_text() == "rev: v1.5\n"


def test_a_line_is_added_below_one_without_an_end(root: Path) -> None:
    (root / ".gitignore").write_text("dist/")

    mend(root, [Diagnosis("x", "error", "m", repair=Addition(".gitignore", ".env"))], Runner())

    assert (root / ".gitignore").read_text() == "dist/\n.env\n"


def test_a_file_in_another_encoding_gets_a_line_and_is_not_changed_otherwise(root: Path) -> None:
    (root / ".gitignore").write_bytes(b"caf\xe9/\r\n")
    repairs = (Addition(".gitignore", ".env"), Replacement(".gitignore", 1, "caf", "bar"))

    done, failed = mend(root, [Diagnosis("x", "error", "m", repair=repair) for repair in repairs], Runner())

    assert (len(done), (root / ".gitignore").read_bytes()) == (1, b"caf\xe9/\r\n.env\r\n")
    assert failed == [f"{repairs[1].sentence}: the file is not UTF-8 text; change it by hand"]


@pytest.mark.security
def test_files_with_secrets_that_others_or_git_could_see_are_errors_and_can_be_repaired(root: Path) -> None:
    (root / ".env").write_text("A=1\n")
    (root / "env").mkdir()
    (root / "env" / "live.secrets.env").write_text("KEY=1\n")
    (root / "env" / "live.secrets.env").chmod(0o644)
    project = load_project(root)

    found = look_at_project(root, project, Runner())
    codes = {each.code for each in found if each.level == "error"}
    mend(root, found, Runner())
    left = {each.code for each in look_at_project(root, project, Runner()) if each.level == "error"}

    assert codes == {"dotenv-not-ignored", "secrets-readable", "secrets-not-ignored"}
    assert left == set()


@pytest.mark.security
def test_a_file_with_secrets_that_git_has_is_told_of_and_gets_one_line_alone(root: Path) -> None:
    (root / ".env").write_text("A=1\n")
    (root / "env").mkdir()
    secrets = root / "env" / "live.secrets.env"
    secrets.write_text("KEY=1\n")
    secrets.chmod(0o600)
    subprocess.run(["git", "add", ".env", "env"], cwd=root, check=True)

    def codes(*, repaired: bool) -> list[str]:
        found = look_at_project(root, load_project(root), Runner())
        if repaired:
            mend(root, found, Runner())
        return [each.code for each in found if each.level == "error"]

    assert codes(repaired=True) == ["dotenv-tracked", "dotenv-not-ignored", "secrets-tracked", "secrets-not-ignored"]
    assert codes(repaired=True) == ["dotenv-tracked", "secrets-tracked"]
    assert (root / ".gitignore").read_text() == ".env\nenv/*.secrets.env\n"
    subprocess.run(["git", "rm", "-q", "--cached", "-r", ".env", "env"], cwd=root, check=True)
    assert codes(repaired=False) == []


def test_a_part_that_cannot_be_looked_at_does_not_hide_the_others(root: Path) -> None:
    (root / "env").mkdir()
    (root / "env" / "example.env").write_text("NO_MACHINE_LINE=\n")

    found = examine(root, load_project(root), Runner())

    assert [each.code for each in found.parts["contract"]] == ["not-examined"]
    assert "env/example.env:1" in found.parts["contract"][0].message
    assert list(found.parts) == ["machine", "project", "contract", "parity"]


def test_a_part_whose_file_the_system_refuses_does_not_hide_the_others(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> list[Diagnosis]:
        raise PermissionError(errno.EACCES, "Permission denied", "/shop/.git/hooks/pre-commit")

    monkeypatch.setattr("handrail.doctor.project.look_at_project", refused)

    found = examine(root, load_project(root), Runner())

    (finding,) = found.parts["project"]
    assert (finding.code, finding.message) == ("not-examined", "/shop/.git/hooks/pre-commit: permission denied")
    assert list(found.parts) == ["machine", "project", "contract", "parity"]


def test_a_lock_that_cannot_be_read_is_a_finding_beside_the_others(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "uv.lock").write_text("")
    (root / "requirements-old.txt").symlink_to("nowhere.txt")
    workflow = root / ".github" / "workflows" / "ci.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: make test\n")
    read_text = Path.read_text

    def refusing(path: Path, *words: str) -> str:
        if path.name == "uv.lock":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read_text(path, *words)

    monkeypatch.setattr(Path, "read_text", refusing)
    project = load_project(root)

    with_lock = look(root, project, ("ruff",))
    (root / "uv.lock").unlink()
    without = look(root, project, ("ruff",))

    assert [each.message for each in with_lock if each.code == "file-not-read"] == [
        f"{root / 'uv.lock'}: permission denied"
    ]
    assert {each.code for each in without} < {each.code for each in with_lock}
    assert "run-not-a-task" in {each.code for each in without}


@pytest.mark.security
def test_no_finding_shows_a_secret_that_stands_in_the_wrong_variable(root: Path) -> None:
    (root / "pyproject.toml").write_text('[tool.handrail]\napp = "shop"\nenvironments.live.hosts = ["a"]\n')
    (root / "env").mkdir()
    (root / "env" / "example.env").write_text("# type: port, secret: no\nPORT=\n# secret: yes\nKEY=\n")
    (root / "env" / "live.env").write_text("PORT=very-secret\nKEY=very-secret\n")
    printer = RecordingPrinter()

    with pytest.raises(TaskFailedError):
        doctor(TaskContext(printer, root))

    assert "PORT is" in printer.text
    assert "very-secret" not in printer.text


def test_every_code_of_a_finding_is_in_the_document() -> None:
    code_word = re.compile(
        r'''(?:Diagnosis\(\s*|yield \(?\s*|located\(\s*)"([a-z]+(?:-[a-z]+)+)"'''
        r'''|(?:return|code =) "(host-[a-z]+)"'''
    )
    source = Path(__file__).parents[3] / "src" / "handrail"
    texts = [path.read_text() for folder in ("doctor", "parity", "config") for path in (source / folder).rglob("*.py")]
    codes = {next(filter(None, match)) for text in texts for match in code_word.findall(text)}
    documented = set(
        re.findall(r"`([a-z]+(?:-[a-z]+)+)`", (Path(__file__).parents[3] / "docs" / "doctor.md").read_text())
    )

    known = {"run-not-a-task", "host-key", "env-missing", "env-unresolved", "file-not-read", "host-shell-slow"}
    assert known | {"secrets-readable"} <= codes
    assert codes - documented == set()


def test_a_plain_trees_environment_is_held_against_the_lock_and_its_requirements(root: Path) -> None:
    (root / "pyproject.toml").write_text(
        '[dependency-groups]\ndev = []\n[tool.uv.workspace]\n[tool.handrail]\napp = "shop"\n'
    )
    (root / "requirements.txt").write_text("flask\n")
    (root / "uv.lock").write_text("version = 1\n")
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (root / ".venv" / "pyvenv.cfg").write_text("")
    runner = FakeRunner()
    runner.answer("uv", "pip", stderr="Would install 1 package\n + flask==3.0.3\n")

    def stale() -> list[Diagnosis]:
        found = look_at_project(root, load_project(root), runner)
        return [each for each in found if each.code in ("environment-stale", "lock-stale", "lock-missing")]

    (finding,) = stale()
    assert "it differs in flask" in finding.message
    asked = [argv for argv in runner.commands if Path(argv[0]).name == "uv"]
    assert [("--check" in argv, "--dry-run" in argv) for argv in asked] == [(True, False), (False, True)]
    runner.answer("uv", "sync", stderr="error: The lockfile at `uv.lock` needs to be updated", returncode=1)
    assert [each.code for each in stale()] == ["lock-stale"]
    (root / "uv.lock").unlink()
    assert [each.code for each in stale()] == ["lock-missing"]
    python.unlink()
    python.symlink_to("/nowhere/python3.12")
    (gone,) = (each for each in look_at_project(root, load_project(root), runner) if "environment" in each.code)
    assert gone.message.startswith(".venv has no interpreter any more")


def test_only_the_tools_that_inv_check_runs_in_this_project_are_missed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handrail.checks.tools.find_tool", lambda tool: None)
    monkeypatch.setattr("handrail.checks.suite.has_module", lambda module: False)

    def missed() -> list[str]:
        found, _ = look_at_machine(root, load_project(root), FakeRunner())
        return [each.message.split()[0] for each in found if each.code == "tool-missing"]

    assert missed() == ["ruff", "mypy", "pytest"]
    with (root / "pyproject.toml").open("a") as file:
        file.write('checks.types = "off"\nchecks.test = "python manage.py test"\n')
    assert missed() == ["ruff"]


def test_what_git_refuses_is_said_and_not_taken_for_well(root: Path) -> None:
    runner = FakeRunner()
    said = "fatal: detected dubious ownership\nTo add an exception, call:\n\n\tgit config --global --add x /y\n"
    runner.answer("git", "rev-parse", stderr=said, returncode=128)

    (finding,) = [each for each in look_at_project(root, load_project(root), runner) if each.code == "git-refused"]

    assert finding.message == "git does not work here: detected dubious ownership"
    assert finding.mend == "git config --global --add x /y"
