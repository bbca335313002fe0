"""The commands of the how-to pages are run as they stand there, each line of a shell block, or it is said why not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from handrail.build.tools import find_uv
from handrail.testing.host import free_port

pytestmark = pytest.mark.integration

DOCS = Path(__file__).resolve().parents[3] / "docs"
# adopting.md is what the tests of `handrail init` do, with projects of other people.
HOW_TOS = (
    "getting-started", "hosts", "ci", "doctor", "shell-completion",
    "migrating/makefile-tox", "migrating/fabfile", "migrating/capistrano", "migrating/kamal",
)  # fmt: skip
SHOP = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"shop"]
"""
PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "shop"
version = "1"
requires-python = ">=3.10"
dependencies = ["gunicorn"]

"""
# Lines that another test runs, or that want what a test does not have.
ELSEWHERE = {
    "git clone <address": "the repository has no fixed address",
    "./scripts/demo": "tests/integration/demo",
    "uv add --dev 'handrail[sandbox]'": "this very environment has it",
    ". .venv/bin/activate": "this very environment is active",
    "uv add --dev 'handrail[ci]'": "this very environment has it",
    "inv host.setup": "tests/integration/hosts",
    "inv host.retire": "tests/integration/deploy/test_retire.py",
    "inv deploy --env staging": "tests/integration/deploy, on hosts of its own",
    "inv deploy --env production": "tests/integration/deploy, on hosts of its own",
    "inv setup": "tests/unit/setup, and .ci/run",
    "inv check": "tests/integration/build, and .ci/run",
    "inv ci": "tests/integration/ci",
    "inv doctor": "tests/unit/doctor",
    "gh run download": "it asks GitHub",
    "inv fingerprint --diff": "tests/unit/doctor, with what another machine has kept",
}


def shell_lines(page: str) -> list[str]:
    """Return each line of the page's shell blocks."""
    text = (DOCS / f"{page}.md").read_text("utf-8")
    blocks = re.findall(r"^( *)```sh\n(.*?)^\1```", text, flags=re.DOTALL | re.MULTILINE)
    return [line for _, block in blocks for line in textwrap.dedent(block).splitlines() if line.strip()]


def elsewhere(line: str) -> str:
    return next((why for start, why in ELSEWHERE.items() if line.startswith(start) and "--env sandbox" not in line), "")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project as the reader of getting-started has it, with the page's own table in its pyproject.toml."""
    root = tmp_path_factory.mktemp("shop")
    (root / "src" / "shop").mkdir(parents=True)
    (root / "src" / "shop" / "__init__.py").write_text("")
    (root / "src" / "shop" / "wsgi.py").write_text(SHOP)
    (root / "tests").mkdir()
    (root / "tests" / "test_shop.py").write_text(
        "import pytest\n\n\n@pytest.mark.filterwarnings\ndef test_checkout() -> None:\n    assert True\n"
    )
    page = (DOCS / "getting-started.md").read_text("utf-8")
    tables = re.findall(r"^```toml\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    # The page's port may be somebody else's here.
    table = tables[0].replace("[tool.handrail.service]\n", f"[tool.handrail.service]\nport = {free_port()}\n")
    (root / "pyproject.toml").write_text(PYPROJECT + table + "\n" + tables[1])
    subprocess.run([find_uv(), "lock", "--quiet"], cwd=root, check=True)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    yield root
    if (root / "tasks.py").exists():
        run("inv sandbox.down --purge", root)


def run(line: str, root: Path) -> str:
    names = {f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", line],
        cwd=root, env={**os.environ, **names, "PATH": path}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"$ {line}\n{done.stdout}"
    return done.stdout


def test_getting_started_gets_somebody_started(project: Path) -> None:
    ran = [line for line in shell_lines("getting-started") if not elsewhere(line)]
    said = {line: run(line, project) for line in ran}
    assert "sandbox serves 1-" in said["inv deploy --env sandbox"]
    assert "STAGING_HOST" in next(text for line, text in said.items() if line.startswith("inv env --env staging"))
    assert any(line.startswith("inv sandbox.down") for line in ran)


def test_the_way_from_a_fabfile_begins_as_its_page_says(project: Path) -> None:
    if not (project / "tasks.py").exists():
        for line in shell_lines("getting-started"):
            if line.startswith(("printf", "mkdir", "echo .handrail", "git add")):
                run(line, project)
    said = {line: run(line, project) for line in shell_lines("migrating/fabfile") if not elsewhere(line)}
    assert "sandbox serves" in said["inv rollback --env sandbox"]


def test_every_line_of_a_how_to_is_run_by_a_test() -> None:
    here = set(shell_lines("getting-started") + shell_lines("migrating/fabfile"))
    not_run = {
        f"{page}: {line}" for page in HOW_TOS for line in shell_lines(page) if line not in here and not elsewhere(line)
    }
    assert not not_run
