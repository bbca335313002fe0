from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handrail.build.lock import find_lock
from handrail.build.platforms import WheelTarget, choose_target, running_python
from handrail.config.schema import Build, Project
from handrail.errors import ConfigError, TaskFailedError
from handrail.testing import FakeRunner, RecordingPrinter

pytestmark = pytest.mark.unit

HASH = "--hash=sha256:" + "1" * 64
LOCKED = f"flask==3.1.0 {HASH}\n"
BUILDABLE = '[build-system]\nrequires = []\n[project]\nname = "shop"\nversion = "1"\n'


@pytest.fixture
def runner() -> FakeRunner:
    runner = FakeRunner()
    runner.answer("uv", "export", stdout=LOCKED)
    runner.answer("uv", "pip", "compile", stdout=LOCKED)
    return runner


class Finder:
    def __init__(self, root: Path, runner: FakeRunner, printer: RecordingPrinter) -> None:
        self.root, self.runner, self.printer = root, runner, printer

    def __call__(self, kind: str = "tree", target: WheelTarget | None = None, **build: Any) -> list[str]:
        project = Project(app="shop", build=Build(**build))
        target = target or choose_target("", "")
        found = find_lock(project, self.root, kind, target, self.runner, self.printer)
        return [item.text for item in found.locked]

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    @property
    def verbs(self) -> list[str]:
        return [" ".join(argv[1:3]) for argv in self.runner.commands]

    @property
    def warnings(self) -> list[str]:
        return [event.words[0] for event in self.printer.events if event.kind == "warn"]


@pytest.fixture
def find(tmp_path: Path, runner: FakeRunner, printer: RecordingPrinter) -> Finder:
    return Finder(tmp_path, runner, printer)


def test_a_project_without_dependencies_needs_nothing_and_asks_nobody(find: Finder) -> None:
    find.write("pyproject.toml", BUILDABLE)
    assert find() == find(kind="wheel") == []
    assert find.verbs == []


def test_a_requirements_file_with_hashes_is_used_as_it_is(find: Finder) -> None:
    find.write("requirements.txt", LOCKED)
    assert find() == ["flask==3.1.0"]
    assert find.verbs == []


def test_a_requirements_file_without_hashes_is_resolved_once(find: Finder) -> None:
    find.write("requirements.txt", "flask==3.1.0\n")
    assert find() == find() == ["flask==3.1.0"]
    assert find.verbs == ["pip compile"]
    assert find.warnings == []


def test_a_file_that_leaves_versions_open_says_so(find: Finder) -> None:
    find.write("requirements.txt", "flask>=3\n")
    find()
    assert "does not pin every version" in find.warnings[0]


@pytest.mark.parametrize("change", ["file", "nested", "python", "platform"])
def test_what_a_resolution_depends_on_makes_a_new_one(find: Finder, change: str) -> None:
    find.write("requirements.txt", "-r base.txt\n")
    find.write("base.txt", "flask==3.1.0\n")
    find()
    another = "3.13" if running_python() == "3.12" else "3.12"
    target = choose_target(
        another if change == "python" else "", "manylinux_2_28_aarch64" if change == "platform" else ""
    )
    if change in ("file", "nested"):
        find.write(
            "requirements.txt" if change == "file" else "base.txt",
            "-r base.txt\nsix\n" if change == "file" else "six\n",
        )
    find(target=target)
    assert find.verbs == ["pip compile", "pip compile"]


def test_a_resolution_is_for_the_targets_python_and_platform(find: Finder) -> None:
    find.write("requirements.txt", "flask\n")
    find(target=choose_target("3.12", "manylinux_2_30_aarch64"))
    argv = find.runner.commands[0]
    assert argv[argv.index("--python-version") + 1] == "3.12"
    assert argv[argv.index("--python-platform") + 1] == "aarch64-manylinux_2_28"


@pytest.mark.parametrize(
    ("platform", "word"),
    [
        ("manylinux2014_x86_64", "x86_64-manylinux2014"),
        ("manylinux_2_12_x86_64", "x86_64-manylinux2014"),
        ("musllinux_1_2_aarch64", "aarch64-unknown-linux-musl"),
        ("macosx_14_0_arm64", "aarch64-apple-darwin"),
        ("macosx_10_13_x86_64", "x86_64-apple-darwin"),
    ],
)
def test_platforms_have_uvs_names(find: Finder, platform: str, word: str) -> None:
    find.write("requirements.txt", "flask\n")
    find(target=choose_target("3.12", platform))
    assert word in find.runner.commands[0]


def test_index_options_of_the_file_reach_pip(find: Finder, runner: FakeRunner, printer: RecordingPrinter) -> None:
    find.write("requirements.txt", "--extra-index-url https://${TOKEN}@example.org\nflask\n")
    found = find_lock(Project(app="shop"), find.root, "tree", choose_target("", ""), runner, printer)
    assert found.options == ("--extra-index-url https://${TOKEN}@example.org",)


def test_uv_lock_wins_over_requirements_txt(find: Finder) -> None:
    find.write("pyproject.toml", BUILDABLE)
    find.write("uv.lock", "version = 1\n")
    find.write("requirements.txt", "six\n")
    assert find() == ["flask==3.1.0"]
    assert find.verbs == ["export --quiet"]
    assert {"--locked", "--no-default-groups", "--no-emit-project"} <= set(find.runner.commands[0])


def test_an_unchanged_uv_lock_is_exported_once(find: Finder) -> None:
    find.write("pyproject.toml", BUILDABLE)
    find.write("uv.lock", "version = 1\n")
    find()
    find()
    assert find.verbs == ["export --quiet"]
    find.write("uv.lock", "version = 1\n# changed\n")
    find()
    assert len(find.verbs) == 2


def test_the_declared_file_wins_over_uv_lock(find: Finder) -> None:
    find.write("pyproject.toml", BUILDABLE)
    find.write("uv.lock", "version = 1\n")
    find.write("requirements/prod.txt", LOCKED)
    assert find(requirements="requirements/prod.txt") == ["flask==3.1.0"]
    assert find.verbs == []


def test_a_declared_file_that_is_not_there_names_the_nearest(find: Finder) -> None:
    find.write("requirements.txt", LOCKED)
    with pytest.raises(ConfigError, match=r"'requirement.txt', which does not exist; did you mean 'requirements.txt'"):
        find(requirements="requirement.txt")


def test_the_lock_of_a_workspace_serves_its_members(find: Finder) -> None:
    find.write("pyproject.toml", "[tool.uv.workspace]\nmembers = ['apps/*']\n")
    find.write("uv.lock", "version = 1\n")
    find.write(".git/HEAD", "")
    find.write("apps/shop/pyproject.toml", BUILDABLE)
    find.root = find.root / "apps" / "shop"
    assert find(kind="wheel") == ["flask==3.1.0"]
    assert find.runner.calls[0].cwd == find.root


def test_a_lock_above_the_repository_is_somebody_elses(find: Finder) -> None:
    find.write("pyproject.toml", "[tool.uv.workspace]\n")
    find.write("uv.lock", "version = 1\n")
    find.write("repo/.git/HEAD", "")
    find.write("repo/pyproject.toml", BUILDABLE)
    find.root = find.root / "repo"
    assert find() == []


@pytest.mark.parametrize(
    ("kind", "extra"),
    [
        ("tree", 'dependencies = ["flask"]\n'),
        ("wheel", 'dependencies = ["flask"]\n'),
        ("wheel", 'dynamic = ["dependencies"]\n'),
    ],
)
def test_dependencies_without_a_lock_are_resolved_with_a_warning(find: Finder, kind: str, extra: str) -> None:
    find.write("pyproject.toml", BUILDABLE + extra)
    assert find(kind=kind) == ["flask==3.1.0"]
    assert "not locked" in find.warnings[0]
    assert find.runner.commands[0][-1] == "pyproject.toml"


def test_a_wheel_does_not_read_requirements_txt(find: Finder) -> None:
    find.write("pyproject.toml", BUILDABLE)
    find.write("requirements.txt", "six\n")
    assert find(kind="wheel") == []


def test_a_lock_that_is_out_of_date_names_the_way_out(find: Finder, runner: FakeRunner) -> None:
    find.write("pyproject.toml", BUILDABLE)
    find.write("uv.lock", "version = 1\n")
    runner.answer("uv", "export", returncode=1, stderr="needs to be updated")
    with pytest.raises(TaskFailedError) as caught:
        find()
    assert caught.value.next_step == "uv lock"
    assert caught.value.lines == ["needs to be updated"]


def test_what_cannot_be_locked_is_named(find: Finder, runner: FakeRunner) -> None:
    find.write("requirements.txt", "flask\n")
    runner.answer("uv", "pip", "compile", stdout="flask==3.1.0\n")
    with pytest.raises(ConfigError, match=r"no hash is known for 'flask==3\.1\.0'"):
        find()


@pytest.mark.parametrize("value", ['"x"', "3", '["x"]'])
def test_an_index_that_is_no_table_is_one_line(find: Finder, value: str) -> None:
    find.write("pyproject.toml", f"{BUILDABLE}[tool.uv]\nindex = {value}\n")
    find.write("uv.lock", "version = 1\n")
    with pytest.raises(ConfigError, match=r"^pyproject\.toml: tool\.uv\.index is .*, expected tables"):
        find()


@pytest.mark.security
def test_credentials_of_a_declared_index_stay_variables(
    find: Finder, runner: FakeRunner, printer: RecordingPrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX_OUR_CORP_USERNAME", "me")
    monkeypatch.setenv("UV_INDEX_OUR_CORP_PASSWORD", "s3cret")
    index = '[[tool.uv.index]]\nname = "our-corp"\nurl = "https://example.org/simple"\n'
    find.write("pyproject.toml", BUILDABLE + index)
    find.write("uv.lock", "version = 1\n")
    found = find_lock(Project(app="shop"), find.root, "wheel", choose_target("", ""), runner, printer)
    url = "https://${UV_INDEX_OUR_CORP_USERNAME}:${UV_INDEX_OUR_CORP_PASSWORD}@example.org/simple"
    assert found.options == (f"--extra-index-url {url}",)
    assert "s3cret" not in str(runner.commands)
