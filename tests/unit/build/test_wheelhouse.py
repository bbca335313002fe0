from __future__ import annotations

import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from handrail.build import wheelhouse
from handrail.build.platforms import WheelTarget, choose_target
from handrail.build.wheelhouse import add_uv, collect_wheels
from handrail.config.schema import Project
from handrail.errors import ConfigError, TaskFailedError
from handrail.testing import FakeRunner, RecordingPrinter
from handrail.testing.fake_runner import Call

pytestmark = pytest.mark.unit

HASH = "--hash=sha256:" + "1" * 64
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ELSEWHERE = WheelTarget("3.12", "manylinux_2_28_aarch64", native=False)


class Pip:
    """Plays pip: makes a wheel for each line that it is asked for.

    Args:
        source_only: names that come as source when they are downloaded.
        tags: what a wheel that was built, not downloaded, is for.
    """

    def __init__(self, source_only: Sequence[str] = (), tags: str = "py3-none-any") -> None:
        self.source_only = source_only
        self.tags = tags
        self.files: list[tuple[str, int]] = []

    def __call__(self, call: Call) -> None:
        argv = call.argv
        verb = next(word for word in ("wheel", "download") if word in argv)
        folder = Path(argv[argv.index("--wheel-dir" if verb == "wheel" else "--dest") + 1])
        file = Path(argv[argv.index("-r") + 1])
        self.files.append((file.read_text(), stat.S_IMODE(file.stat().st_mode)))
        for line in file.read_text().splitlines():
            if match := re.match(r"([A-Za-z0-9_.-]+)(?:==(\S+)| @ )", line):
                name, version = match[1].replace("-", "_"), match[2] or "1"
                if verb == "download" and name in self.source_only:
                    (folder / f"{name}-{version}.tar.gz").write_text("source")
                else:
                    tags = self.tags if verb == "wheel" else "py3-none-any"
                    (folder / f"{name}-{version}-{tags}.whl").write_text(line)


@pytest.fixture
def pip() -> Pip:
    return Pip()


@pytest.fixture
def runner(pip: Pip) -> FakeRunner:
    runner = FakeRunner()
    runner.answer(wheelhouse.pip_command()[0], "-m", "pip", effect=pip)
    return runner


Collect = Callable[..., list[str]]


@pytest.fixture
def collect(tmp_path: Path, runner: FakeRunner, printer: RecordingPrinter) -> Collect:
    def run(lines: str, target: WheelTarget | None = None) -> list[str]:
        (tmp_path / "requirements.txt").write_text(lines)
        members = collect_wheels(
            Project(app="shop"), tmp_path, "tree", target or choose_target("", ""), runner, printer
        )
        return [member.path for member in members]

    return run


def no_other_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handrail.pythons.find_pythons", lambda *_: {})


def test_each_locked_requirement_becomes_a_wheel(collect: Collect) -> None:
    assert collect(f"b==2 {HASH}\na==1 {HASH}\n") == ["a-1-py3-none-any.whl", "b-2-py3-none-any.whl"]


def test_a_project_without_dependencies_leaves_no_cache_behind(collect: Collect, tmp_path: Path) -> None:
    assert collect("# nothing\n") == []
    assert not (tmp_path / ".handrail").exists()


def test_pip_must_check_hashes_and_decide_nothing(collect: Collect, runner: FakeRunner) -> None:
    collect(f"a==1 {HASH}\n")
    (argv,) = runner.commands
    assert {"wheel", "--no-deps", "--require-hashes", "--no-input"} <= set(argv)


def test_an_unchanged_lock_runs_nothing(collect: Collect, runner: FakeRunner) -> None:
    first = collect(f"a==1 {HASH}\n")
    assert collect(f"# a comment\na==1 {HASH}\n") == first
    assert len(runner.commands) == 1


def test_of_a_changed_lock_only_what_is_new_is_fetched(collect: Collect, pip: Pip) -> None:
    collect(f"a==1 {HASH}\nb==1 {HASH}\n")
    collect(f"a==1 {HASH}\nb==2 {HASH}\n")
    assert pip.files[-1][0] == f"b==2 {HASH}\n"


def test_another_hash_for_the_same_version_is_fetched_anew(collect: Collect, runner: FakeRunner) -> None:
    collect(f"a==1 {HASH}\n")
    collect(f"a==1 --hash=sha256:{'2' * 64}\n")
    assert len(runner.commands) == 2


def test_what_is_not_meant_for_the_target_does_not_travel(collect: Collect) -> None:
    assert collect(f"a==1 ; sys_platform == 'win32' {HASH}\nb==1 {HASH}\n") == ["b-1-py3-none-any.whl"]


@pytest.mark.security
def test_a_token_reaches_pip_in_a_private_file_that_is_gone_afterwards(
    collect: Collect, runner: FakeRunner, pip: Pip, tmp_path: Path
) -> None:
    collect(f"--index-url https://me:s3cret@example.org/simple\na==1 {HASH}\n")
    ((text, mode),) = pip.files
    assert text.startswith("--index-url https://me:s3cret@example.org/simple\n")
    assert mode == 0o600
    assert "s3cret" not in str(runner.commands)
    kept = [path for path in (tmp_path / ".handrail").rglob("*") if path.is_file() and "s3cret" in path.read_text()]
    assert kept == []


def test_a_commit_of_a_repository_goes_without_hashes_in_a_run_of_its_own(collect: Collect, runner: FakeRunner) -> None:
    wheels = collect(f"a==1 {HASH}\nb @ git+https://example.org/b@{COMMIT}\n")
    assert wheels == ["a-1-py3-none-any.whl", "b-1-py3-none-any.whl"]
    assert [("--require-hashes" in argv) for argv in runner.commands] == [True, False]


def test_another_python_here_is_served_by_its_own_interpreter(
    collect: Collect, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handrail.pythons.find_pythons", lambda *_: {"3.99": Path("/opt/python3.99")})
    collect(f"a==1 {HASH}\n", choose_target("3.99", ""))
    (argv,) = runner.commands
    assert argv[argv.index("--python") + 1] == "/opt/python3.99"
    assert "wheel" in argv


def test_another_platform_is_downloaded_for_by_its_tags(
    collect: Collect, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_other_python(monkeypatch)
    collect(f"a==1 {HASH}\n", ELSEWHERE)
    (argv,) = runner.commands
    assert "download" in argv
    assert argv[argv.index("--python-version") + 1] == "3.12"
    platforms = [argv[index + 1] for index, word in enumerate(argv) if word == "--platform"]
    assert platforms[0] == "manylinux_2_28_aarch64"
    assert "manylinux2014_aarch64" in platforms


def test_source_only_plain_python_is_built_here_for_another_platform(
    collect: Collect, runner: FakeRunner, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_other_python(monkeypatch)
    pip.source_only = ["a"]
    wheels = collect(f"a==1 {HASH}\nb==1 {HASH}\n", ELSEWHERE)
    assert wheels == ["a-1-py3-none-any.whl", "b-1-py3-none-any.whl"]
    assert pip.files[-1][0] == f"a==1 {HASH}\n"


def test_source_only_compiled_code_for_another_platform_is_refused_by_name(
    collect: Collect, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_other_python(monkeypatch)
    pip.source_only, pip.tags = ["a"], "cp312-cp312-linux_x86_64"
    with pytest.raises(ConfigError, match=r"^a has no wheel for Python 3\.12 on manylinux_2_28_aarch64"):
        collect(f"a==1 {HASH}\n", ELSEWHERE)


def test_a_failure_of_pip_names_the_packages_and_keeps_its_last_lines(collect: Collect, runner: FakeRunner) -> None:
    runner.answer(wheelhouse.pip_command()[0], "-m", "pip", returncode=1, stderr="ERROR: no matching distribution\n")
    with pytest.raises(TaskFailedError) as caught:
        collect("".join(f"{name}==1 {HASH}\n" for name in "abcde"))
    assert caught.value.message == "`pip wheel` of a, b, c and 2 more exited with status 1"
    assert caught.value.lines == ["ERROR: no matching distribution"]
    assert "index" in caught.value.next_step


def test_nothing_is_left_behind_when_pip_fails(collect: Collect, runner: FakeRunner, tmp_path: Path) -> None:
    runner.answer(wheelhouse.pip_command()[0], "-m", "pip", returncode=1)
    with pytest.raises(TaskFailedError):
        collect(f"a==1 {HASH}\n")
    assert sorted(path.name for path in (tmp_path / ".handrail/cache").iterdir()) == [".gitignore", "wheels"]


def test_uv_is_a_tool_for_the_targets_platform_and_fetched_once(
    tmp_path: Path, runner: FakeRunner, printer: RecordingPrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheelhouse, "uv_version", lambda: "0.9.1")
    members = [add_uv(tmp_path, ELSEWHERE, runner, printer) for _ in range(2)]
    assert members[0] == members[1]
    assert (members[0].kind, members[0].path) == ("tool", "uv-0.9.1-py3-none-any.whl")
    (argv,) = runner.commands
    assert {"download", "--only-binary=:all:", "manylinux_2_28_aarch64"} <= set(argv)


def test_a_package_in_a_folder_is_built_anew_each_time(
    tmp_path: Path, runner: FakeRunner, printer: RecordingPrinter
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "requirements.txt").write_text("./lib\n")
    content = iter(["one", "one", "two"])

    def build(call: Call) -> None:
        folder = Path(call.argv[call.argv.index("--out-dir") + 1])
        (folder / "lib-1-py3-none-any.whl").write_text(next(content))

    runner.answer("uv", "build", effect=build)

    def run() -> Any:
        (member,) = collect_wheels(Project(app="shop"), tmp_path, "tree", choose_target("", ""), runner, printer)
        return member

    members = [run(), run(), run()]
    assert members[0] == members[1]
    assert members[2].sha256 != members[0].sha256
    assert members[2].source.read_text() == "two"


def test_of_local_packages_only_what_is_meant_for_the_target_is_built(
    collect: Collect, runner: FakeRunner, tmp_path: Path
) -> None:
    def build(call: Call) -> None:
        name = Path(call.argv[-1]).name
        Path(call.argv[call.argv.index("--out-dir") + 1], f"{name}-1-py3-none-any.whl").write_text(name)

    runner.answer("uv", "build", effect=build)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    lines = "./a ; sys_platform == 'win32'\n./b ; sys_platform == 'linux'\n-e ./b ; python_version > '3'\n"
    assert collect(lines, ELSEWHERE) == ["b-1-py3-none-any.whl"]
