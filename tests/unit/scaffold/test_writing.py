from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from handrail.config.load import load_project
from handrail.errors import TaskFailedError, UsageError
from handrail.scaffold import adopt as adopting
from handrail.scaffold.adopt import Wishes, adopt, refuse_windows
from handrail.scaffold.detect.repository import look_at
from handrail.scaffold.ledger import Ledger
from handrail.scaffold.write.choices import choose
from handrail.scaffold.write.pyproject import merged_pyproject
from handrail.testing import FakeRunner, RecordingPrinter

pytestmark = pytest.mark.unit

Repository = Callable[[Mapping[str, str]], Path]

LIBRARY = """\
# Kept: a comment at the top.
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "shop"   # kept, too
version = "1"
dependencies = ["flask"]

[dependency-groups]
dev = ["pytest>=8"]
"""
APP = "from flask import Flask\napp = Flask(__name__)\n"
SERVICE = {"pyproject.toml": LIBRARY, "src/shop/__init__.py": "", "src/shop/main.py": APP, "tests/test_a.py": ""}


def init(root: Path, *, answers: tuple[str, ...] = (), **wishes: Any) -> RecordingPrinter:
    printer = RecordingPrinter(answers=answers)
    adopt(root, Wishes(**{"yes": not answers, "lock": False, **wishes}), FakeRunner(), printer)
    return printer


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text("utf-8") for path in sorted(root.rglob("*")) if path.is_file()}


def said(printer: RecordingPrinter) -> str:
    return "\n".join(word for event in printer.events for word in event.words)


def test_a_service_gets_every_file_and_a_declaration_that_handrail_reads(repository: Repository) -> None:
    root = repository(SERVICE)
    init(root)
    assert set(files(root)) - set(SERVICE) == {
        "tasks.py", "noxfile.py", "env/sandbox.env", "env/example.env", ".pre-commit-config.yaml", ".gitignore",
        "scripts/bootstrap", ".github/workflows/ci.yml", ".github/workflows/deploy.yml", ".handrail.lock.toml",
    }  # fmt: skip
    project = load_project(root)
    assert project.service is not None
    assert project.service.command == "gunicorn shop.main:app --bind 127.0.0.1:{port}"
    assert project.environments["sandbox"].hosts == ["sandbox"]
    assert (root / "scripts" / "bootstrap").stat().st_mode & 0o111


def test_a_library_gets_everything_but_deploys(repository: Repository) -> None:
    root = repository({"pyproject.toml": LIBRARY, "src/shop/__init__.py": "", "tests/test_a.py": ""})
    init(root)
    written = files(root)
    assert ".github/workflows/ci.yml" in written
    assert not {"env/sandbox.env", ".github/workflows/deploy.yml"} & set(written)
    project = load_project(root)
    assert project.service is None
    assert not project.environments


def test_every_byte_of_an_existing_pyproject_stays(repository: Repository) -> None:
    root = repository(SERVICE)
    init(root)
    text = (root / "pyproject.toml").read_text()
    kept = [line for line in LIBRARY.splitlines() if not line.startswith(("dependencies", "dev"))]
    assert [line for line in text.splitlines() if line in kept][: len(kept)] == kept
    declared = tomlkit.loads(text)
    assert declared["project"]["dependencies"] == ["flask", "gunicorn"]
    group = declared["dependency-groups"]["dev"]
    assert group[0] == "pytest>=8"
    assert sum(line.startswith("pytest") for line in group) == 1
    assert any(line.startswith("handrail[sandbox]>=") for line in group)


@pytest.mark.parametrize("python", ["3.10", "3.9"])
def test_new_tables_stand_at_the_end_also_where_those_of_tools_come_first(repository: Repository, python: str) -> None:
    tool = "[tool.coverage.run]\nbranch = true\n\n"
    text = tool + LIBRARY.replace('version = "1"\n', f'version = "1"\nrequires-python = ">={python}"\n')
    root = repository({**SERVICE, "pyproject.toml": text})
    init(root)
    written = (root / "pyproject.toml").read_text()
    assert written.startswith(tool)
    heads = [line for line in written.splitlines() if line.startswith("[")]
    assert heads[:4] == ["[tool.coverage.run]", "[build-system]", "[project]", "[dependency-groups]"]
    assert heads[4] == ("[tool.handrail]" if python == "3.10" else "[tool.uv]")
    lines = written.splitlines()
    assert all(not lines[number - 1] for number, line in enumerate(lines) if line.startswith("[tool.handrail"))


def test_a_second_time_nothing_is_changed(repository: Repository) -> None:
    root = repository(SERVICE)
    init(root)
    before = files(root)
    assert "nothing was changed" in said(init(root))
    assert files(root) == before


def test_files_that_are_there_are_left_alone_with_a_note_on_what_to_add(repository: Repository) -> None:
    own = {"tasks.py": "from invoke import task\n", "noxfile.py": "import nox\n", "env/example.env": ""}
    root = repository({**SERVICE, **own, ".github/workflows/ci.yml": "on: push\n"})
    notes = said(init(root))
    assert {name: files(root)[name] for name in own} == own
    assert "namespace = handrail.collection(globals())" in notes
    assert "handrail.sessions.register()" in notes
    assert (root / ".github/workflows/ci.yml").read_text() == "on: push\n"
    assert (root / ".github/workflows/handrail-ci.yml").is_file()
    assert load_project(root).checks.workflows == [
        ".github/workflows/handrail-ci.yml",
        ".github/workflows/deploy.yml",
    ]


def test_a_plan_shows_everything_and_writes_nothing(repository: Repository) -> None:
    root = repository(SERVICE)
    before = files(root)
    shown = said(init(root, plan=True, yes=False))
    assert files(root) == before
    assert "+namespace = handrail.collection()" in shown
    assert "find_python()" in shown


def test_yes_says_which_guesses_it_made(repository: Repository) -> None:
    shown = said(init(repository({**SERVICE, "src/shop/admin.py": APP})))
    assert "guessed  application: shop.main:app (there is also shop.admin:app)" in shown
    assert "guessed  health check: none" in shown


def test_what_could_not_be_found_out_is_asked(repository: Repository) -> None:
    root = repository({**SERVICE, "src/shop/admin.py": APP})
    printer = init(root, answers=("shop.admin:app", "up", "yes"))
    service = load_project(root).service
    assert service is not None
    assert service.command.startswith("gunicorn shop.admin:app ")
    assert service.health == "/up"
    assert [event.words[0][:5] for event in printer.events if event.kind == "ask"] == ["Which", "Which", "Write"]


def test_a_no_to_the_diff_writes_nothing(repository: Repository) -> None:
    root = repository(SERVICE)
    before = files(root)
    with pytest.raises(UsageError, match="nothing was written"):
        init(root, answers=("", "no"))
    assert files(root) == before


def test_without_a_terminal_it_asks_for_yes(repository: Repository) -> None:
    with pytest.raises(UsageError, match="no terminal") as caught:
        init(repository(SERVICE), yes=False)
    assert "--yes" in caught.value.next_step


def test_windows_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match="not supported on Windows") as caught:
        refuse_windows("win32")
    assert caught.value.exit_code == 2


def test_a_file_that_cannot_be_written_takes_everything_back(repository: Repository) -> None:
    # A file where a folder has to be: no right of root's helps there.
    root = repository({**SERVICE, "scripts": "not a folder\n"})
    before = files(root)
    with pytest.raises(TaskFailedError, match=r"^scripts/bootstrap could not be written: .*; nothing was changed"):
        init(root)
    assert files(root) == before
    assert not (root / "env").exists()


def test_nothing_is_written_through_a_symbolic_link(repository: Repository, tmp_path: Path) -> None:
    root = repository(SERVICE)
    (tmp_path / "elsewhere").mkdir()
    (root / "scripts").symlink_to(tmp_path / "elsewhere")
    assert "scripts/bootstrap lies behind a symbolic link" in said(init(root))
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_pyproject_behind_a_link_is_written_where_it_is_and_the_link_stays(repository: Repository) -> None:
    root = repository({**SERVICE, "conf/pyproject.toml": LIBRARY})
    (root / "pyproject.toml").unlink()
    (root / "pyproject.toml").symlink_to("conf/pyproject.toml")
    init(root)
    assert (root / "pyproject.toml").is_symlink()
    assert "[tool.handrail]" in (root / "conf/pyproject.toml").read_text()


def test_a_pyproject_outside_of_the_project_is_not_written(repository: Repository, tmp_path: Path) -> None:
    root = repository(SERVICE)
    shared = (root / "pyproject.toml").rename(tmp_path / "shared.toml")
    (root / "pyproject.toml").symlink_to(shared)
    before = files(root)
    with pytest.raises(TaskFailedError, match=r"^pyproject\.toml could not .* link out of the project; nothing was"):
        init(root)
    assert shared.read_text() == LIBRARY
    assert files(root) == before


def test_links_that_lead_nowhere_are_passed_over(repository: Repository) -> None:
    root = repository(SERVICE)
    (root / ".github" / "workflows").mkdir(parents=True)
    for name in ("old.txt", ".github/CODEOWNERS", ".github/workflows/old.yml"):
        (root / name).symlink_to("/nowhere")
    init(root)
    assert load_project(root).app == "shop"


def test_an_interrupt_takes_everything_back(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    root = repository(SERVICE)
    before = files(root)
    replace = Path.replace

    def interrupted(path: Path, target: Path) -> Path:
        result = replace(path, target)
        if target == root / "env" / "example.env":
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        init(root)
    assert files(root) == before
    assert not (root / "env").exists()


def test_where_handrail_comes_from_can_be_named(repository: Repository, tmp_path: Path) -> None:
    wheel = tmp_path / "handrail-0.1.0-py3-none-any.whl"
    wheel.touch()
    root = repository(SERVICE)
    init(root, source=str(wheel))
    assert f'"handrail[sandbox] @ {wheel.as_uri()}"' in (root / "pyproject.toml").read_text()
    with pytest.raises(UsageError, match="no such file"):
        adopting.resolved_source("missing.whl", root)


def test_tools_are_not_asked_of_pythons_on_which_they_do_not_run(repository: Repository) -> None:
    root = repository(
        {**SERVICE, "pyproject.toml": LIBRARY.replace('version = "1"', 'version = "1"\nrequires-python = ">=3.8"')}
    )
    init(root)
    group = tomlkit.loads((root / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    assert all(line.endswith("; python_version >= '3.10'") for line in group[1:])
    uv = tomlkit.loads((root / "pyproject.toml").read_text())["tool"]["uv"]
    assert uv == {"environments": ["python_version >= '3.10' and sys_platform != 'win32'"]}


@pytest.mark.parametrize(
    ("settings", "lint", "types"),
    [
        ("", "errors", "off"),
        ("[tool.ruff]\nline-length = 99\n", "errors", "off"),
        ('[tool.ruff]\nselect = ["F"]\n', "check", "off"),
        (
            '[tool.ruff]\nlint.select = ["F"]\nformat.quote-style = "single"\n[tool.mypy]\nfiles = ["src"]\n',
            "all",
            "project",
        ),
        ("[tool.mypy]\nstrict = true\n", "errors", "strict"),
    ],
)
def test_no_check_is_stricter_than_what_the_project_asks_of_itself(
    repository: Repository, settings: str, lint: str, types: str
) -> None:
    root = repository({**SERVICE, "pyproject.toml": LIBRARY + settings})
    init(root)
    checks = load_project(root).checks
    assert (checks.lint, checks.types) == (lint, types)
    assert ("ruff format" in (root / ".pre-commit-config.yaml").read_text()) == (lint == "all")


def test_a_setup_py_alone_is_built_as_pip_would_and_locked_by_uv(repository: Repository) -> None:
    root = repository(
        {
            "setup.py": 'import setuptools\nsetuptools.setup(name="shop-lib", packages=["shop"])\n',
            "shop/__init__.py": "",
        }
    )
    init(root)
    declared = tomlkit.loads((root / "pyproject.toml").read_text())
    assert declared["build-system"]["build-backend"] == "setuptools.build_meta:__legacy__"
    assert "shop-lib" in declared["dependency-groups"]["dev"]
    assert declared["tool"]["uv"]["sources"]["shop-lib"] == {"path": ".", "editable": True}
    assert (root / "tests" / "test_import.py").is_file()


def test_a_plain_tree_gets_its_server_in_a_requirements_file(repository: Repository) -> None:
    root = repository({"requirements.txt": "flask\n", "main.py": APP})
    init(root)
    project = load_project(root)
    assert project.build.requirements == "requirements-deploy.txt"
    assert (root / "requirements-deploy.txt").read_text().splitlines()[1:] == ["-r requirements.txt", "gunicorn"]


@pytest.mark.parametrize("listed", ["", "dependencies = []\n"])
@pytest.mark.parametrize(
    ("requirements", "named"), [("flask\n", "requirements-deploy.txt"), ("flask\ngunicorn\n", "requirements.txt")]
)
def test_a_project_table_without_dependencies_takes_its_requirements_file_along(
    repository: Repository, listed: str, requirements: str, named: str
) -> None:
    pyproject = f'[project]\nname = "shop"\nversion = "1"\n{listed}'
    root = repository({"pyproject.toml": pyproject, "requirements.txt": requirements, "main.py": APP})
    init(root)
    assert load_project(root).build.requirements == named
    if named == "requirements-deploy.txt":
        assert (root / named).read_text().splitlines()[1:] == ["-r requirements.txt", "gunicorn"]


def test_dependencies_that_the_build_reads_from_a_file_are_in_the_lock(repository: Repository) -> None:
    dynamic = LIBRARY.replace('dependencies = ["flask"]', 'dynamic = ["dependencies"]')
    root = repository({**SERVICE, "pyproject.toml": dynamic, "requirements.txt": "flask\ngunicorn\n"})
    init(root)
    assert load_project(root).build.requirements == ""


def test_a_service_that_poetry_manages_says_what_a_release_installs(repository: Repository) -> None:
    poetry = '[tool.poetry]\nname = "shop"\n[tool.poetry.dependencies]\npython = "^3.10"\nflask = "^3.0"\n'
    root = repository({**SERVICE, "pyproject.toml": poetry, "poetry.lock": ""})
    init(root)
    assert load_project(root).build.requirements == "requirements-deploy.txt"
    assert (root / "requirements-deploy.txt").read_text().splitlines()[1:] == ["flask>=3.0,<4", "gunicorn"]
    assert (root / "pyproject.toml").read_text().startswith(poetry)


@pytest.mark.parametrize("folder", ["env/", "env", "*.env"])
def test_a_gitignore_that_hides_env_lets_it_in_again(repository: Repository, folder: str) -> None:
    root = repository({**SERVICE, ".gitignore": f"{folder}\n"})
    init(root)
    text = (root / ".gitignore").read_text()
    assert text.startswith(f"{folder}\n")
    assert text.index("!/env/") < text.index("/env/*.secrets.env")


def test_a_first_test_does_not_import_code_that_fails_without_its_variables(repository: Repository) -> None:
    source = {"shop/__init__.py": 'import os\nKEY = os.environ["SHOP_KEY"]\n'}
    root = repository({"pyproject.toml": LIBRARY, **source})
    init(root)
    assert "import_module" not in (root / "tests" / "test_import.py").read_text()


def test_merging_twice_gives_the_same_as_once(repository: Repository) -> None:
    root = repository(SERVICE)
    once = merged_pyproject(LIBRARY, choose(look_at(root)[0], Ledger(), app="shop", health="", source=""))
    (root / "pyproject.toml").write_text(once)
    again = choose(look_at(root)[0], Ledger(), app="shop", health="", source="")
    assert merged_pyproject(once, again) == once


def test_tool_tables_that_stand_apart_are_no_hindrance(repository: Repository) -> None:
    apart = LIBRARY + "[tool.ruff]\nline-length = 99\n[extra]\n[tool.mypy]\nstrict = true\n"
    root = repository({**SERVICE, "pyproject.toml": apart})
    init(root)
    assert load_project(root).app == "shop"
    assert tomlkit.loads((root / "pyproject.toml").read_text())["tool"]["mypy"] == {"strict": True}


def test_a_tree_without_a_project_table_tells_uv_for_which_pythons_to_lock(repository: Repository) -> None:
    root = repository({"requirements.txt": "flask\n", "main.py": APP})
    init(root)
    workspace = tomlkit.loads((root / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]
    (member,) = workspace["members"]
    declared = tomlkit.loads((root / member / "pyproject.toml").read_text())
    assert declared["project"]["requires-python"] == ">=3.10"
    assert declared["tool"]["uv"] == {"package": False}
    before = files(root)
    init(root)
    assert files(root) == before


def test_a_workspace_with_members_of_its_own_gets_no_other(repository: Repository) -> None:
    workspace = '[tool.uv.workspace]\nmembers = ["packages/*"]\n'
    root = repository({"pyproject.toml": workspace, "requirements.txt": "flask\n", "main.py": APP})
    init(root)
    assert not (root / "scripts" / "pythons").exists()
    assert workspace in (root / "pyproject.toml").read_text()


def test_a_project_table_without_requires_python_is_left_alone_with_a_note(repository: Repository) -> None:
    printer = init(repository(SERVICE))
    assert 'add to [project]: requires-python = ">=3.10"' in "".join(printer.lines("warn"))
    asked = {**SERVICE, "pyproject.toml": LIBRARY.replace('version = "1"', 'version = "1"\nrequires-python = ">=3.11"')}
    assert not init(repository(asked)).lines("warn")


def test_a_folder_that_git_does_not_know_is_refused_before_anything_is_written(repository: Repository) -> None:
    root = repository({**SERVICE, "docs/index.md": ""})
    with pytest.raises(UsageError, match=r"^docs is a folder of the repository .*/shop: ") as caught:
        init(root / "docs")
    assert caught.value.next_step == f"cd {root.resolve()}, then handrail init"
    (root / ".git").rmdir()
    before = files(root)
    with pytest.raises(UsageError, match=r"^shop is no git repository") as caught:
        init(root)
    assert (caught.value.exit_code, caught.value.next_step) == (2, "git init, then handrail init")
    assert files(root) == before
    assert "new  tasks.py" in said(init(root, plan=True))


def test_what_comes_next_begins_with_the_file_that_has_to_be_changed(repository: Repository) -> None:
    own = {"tasks.py": "from invoke import task\n", "noxfile.py": "import nox\n"}
    text = said(init(repository({**SERVICE, **own})))
    assert "next:\n  (change tasks.py as said above" in text
    assert "(change noxfile.py as said above" in text


@pytest.mark.parametrize(
    ("answers", "target"),
    [
        (("", "", "", "yes"), "a:app"),
        (("", "b:app", "", "yes"), "b:app"),
        (("", "b:nope!", "b", "b:app", "", "yes"), "b:app"),
    ],
)
def test_an_application_that_no_server_could_import_is_asked_for_again(
    repository: Repository, answers: tuple[str, ...], target: str
) -> None:
    root = repository({"requirements.txt": "flask\ngunicorn\n", "a.py": APP, "b.py": APP})
    init(root, answers=answers)
    service = load_project(root).service
    assert service is not None
    assert f"gunicorn {target} " in service.command


def test_what_an_application_needs_to_be_imported_its_tests_get(repository: Repository) -> None:
    settings = 'import os\nSECRET_KEY = os.environ["SECRET_KEY"]\nDEBUG = os.environ.get("DEBUG", "")\n'
    root = repository(
        {
            "manage.py": 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings.base")\n',
            "site1/__init__.py": "",
            "site1/settings/__init__.py": "",
            "site1/settings/base.py": settings,
            "site1/wsgi.py": "from django.core.wsgi import get_wsgi_application\n"
            'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings.base")\n'
            "application = get_wsgi_application()\n",
            "site1/deep/mail.py": 'import os\nHOST = os.environ["MAIL_HOST"]\n',
            "requirements.txt": "django\n",
        }
    )
    init(root)
    assert load_project(root).checks.test_variables == {"SECRET_KEY": "only-for-the-tests-and-no-secret-at-all"}


@pytest.mark.parametrize(
    ("more", "parity"),
    [
        ({}, "error"),
        ({".github/workflows/ci.yml": "on: push\njobs:\n  a:\n    steps:\n      - run: make test\n"}, "warn"),
        ({".pre-commit-config.yaml": "repos:\n  - repo: https://example.org/a\n    rev: v1\n    hooks: []\n"}, "warn"),
        ({"pyproject.toml": LIBRARY.replace('version = "1"', 'version = "1"\nrequires-python = ">=3.9"')}, "warn"),
    ],
    ids=["nothing of its own", "a workflow", "hooks", "a Python that is not tested"],
)
def test_differences_of_laptop_and_ci_fail_the_lint_where_there_are_none_to_begin_with(
    repository: Repository, more: dict[str, str], parity: str
) -> None:
    root = repository({**SERVICE, **more})
    init(root)
    assert load_project(root).checks.parity == parity


@pytest.mark.parametrize(("above", "advice"), [({}, "git subtree split --prefix=api"), ({"setup.py": ""}, "cd ")])
def test_a_folder_of_a_repository_is_told_what_to_do(
    repository: Repository, above: dict[str, str], advice: str
) -> None:
    root = repository({"api/pyproject.toml": LIBRARY, "api/src/shop/__init__.py": "", **above})
    with pytest.raises(UsageError, match="hooks and workflows work at its top alone") as caught:
        init(root / "api")
    assert advice in str(caught.value.next_step)
    assert ("subtree" in str(caught.value.next_step)) == (not above)
