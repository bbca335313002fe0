"""`handrail init`, setup, check and a deploy to the sandbox, on repositories that nobody here wrote.

Each is an sdist at a fixed version, taken as it is. A test adds only what a user might: a free port, and one Python for
the matrix.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from handrail.config.load import load_project
from handrail.testing.host import free_port
from handrail.testing.project import inner_environment

# Each makes two environments, tests twice and deploys.
pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

MERGED = {"pyproject.toml", ".gitignore", ".pre-commit-config.yaml"}


@dataclass(frozen=True)
class Real:
    """A published project: its shape, and for a service a path with a text that its own page there holds."""

    requirement: str
    sha256: str
    layout: str
    folder: str = ""
    path: str = ""
    text: str = ""


DJANGO = Real(
    "django-allauth==65.21.1", "128344e260a22b62796747be0a2249ad9488a509c1aa34ab35e3fcf22862dd9e", "plain tree",
    folder="examples/regular-django", path="/accounts/login/", text="csrfmiddlewaretoken",
)  # fmt: skip
FLASK = Real(
    "httpbin==0.10.4", "6023a5a2e8fb8e91abdd6d34d1f1f455092f97d567c25600e1b48ee1178aa738", "flat",
    path="/get?shop=open", text='"shop": "open"',
)  # fmt: skip
FASTAPI = Real(
    "httpbinx==1.13.1", "d9edcc72c330a739653230c74307dc73e4b8900d72bba9da44a056ae23a73d22", "src",
    path="/openapi.json", text="httpbinx",
)  # fmt: skip
SRC_LIBRARY = Real("itsdangerous==2.2.0", "e0050c0b7da1eea53ffaf149c0cfbb5c6e2e2b69c4bef22c81fa6eb73e5f6173", "src")
FLAT_LIBRARY = Real("idna==3.10", "12f65c9b470abda6dc35cf8e63cc574b1c52b11df2c86030af0ac09b01b13ea9", "flat")
SETUP_PY = Real("inflection==0.5.1", "1a29730d366e996aaacffb2f1f1cb9593dc38e2ddd30c91250c6dde09ea9b417", "setup.py")


class Repository:
    """A git repository with its own environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = inner_environment("GIT_", "UV_PROJECT")
        scripts = str(Path(sys.executable).parent)
        self.environment["PATH"] = f"{scripts}{os.pathsep}{self.environment.get('PATH', '')}"

    def run(self, *argv: str) -> str:
        """Run a command to its end and return what it said; AssertionError where it fails."""
        done = subprocess.run(
            argv, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"$ {' '.join(argv)} → {done.returncode}\n{done.stdout}"
        return done.stdout

    def inv(self, *words: str) -> str:
        return self.run(".venv/bin/inv", *words)

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        who = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "core.hooksPath=/dev/null")
        self.run("git", *who, "commit", "--quiet", "--message", message)


@pytest.fixture
def checkout(
    unpack: Callable[[str, str, Path], Path], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Repository]:
    """The project as a git repository: its sdist without what the build added to it."""
    real: Real = request.param
    folder = tmp_path / real.requirement.partition("=")[0]
    shutil.move(unpack(real.requirement, real.sha256, tmp_path) / real.folder, folder)
    for built in [*folder.rglob("*.egg-info"), *folder.rglob("__pycache__")]:
        shutil.rmtree(built)
    (folder / "PKG-INFO").unlink(missing_ok=True)
    repository = Repository(folder)
    repository.run("git", "init", "--quiet", "--initial-branch=main")
    repository.commit("as published")
    yield repository
    if (folder / ".handrail" / "sandbox").exists():
        repository.inv("sandbox.down", "--purge")


def adopt(repository: Repository, wheel: Path) -> None:
    """Do what docs/adopting.md says, up to a green check."""
    repository.run("handrail", "init", "--yes", "--from", str(wheel))
    pyproject = repository.folder / "pyproject.toml"
    text = pyproject.read_text("utf-8")
    pythons = next(line for line in text.splitlines() if line.startswith("pythons = "))
    text = text.replace(pythons, f'pythons = ["{sys.version_info[0]}.{sys.version_info[1]}"]')
    # That one Python is not what the project promises, and parity says so.
    text = text.replace('parity = "error"', 'parity = "warn"')
    text = text.replace("[tool.handrail.service]\n", f"[tool.handrail.service]\nport = {free_port()}\n")
    pyproject.write_text(text, "utf-8")
    repository.commit("adopt")
    changed = repository.run("git", "diff", "--name-only", "--diff-filter=a", "HEAD~1", "HEAD").split()
    assert set(changed) <= MERGED, "files of the project's own were changed"
    repository.run("scripts/bootstrap")
    repository.inv("setup")
    said = repository.inv("check")
    assert "is green, recorded in" in said, said
    repository.inv("init", "--check")
    assert not repository.run("git", "status", "--porcelain")


@retry(retry=retry_if_exception_type(URLError), stop=stop_after_delay(60), wait=wait_fixed(0.2), reraise=True)
def page(url: str) -> str:
    """Return a page; without a health check a release counts as serving before it listens."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize(
    ("checkout", "real"),
    [pytest.param(real, real, id=name) for name, real in
     {"django": DJANGO, "flask": FLASK, "fastapi": FASTAPI}.items()],
    indirect=["checkout"],
)  # fmt: skip
def test_a_published_service_is_adopted_checked_and_deployed_to_the_sandbox(
    checkout: Repository, real: Real, wheel: Path
) -> None:
    adopt(checkout, wheel)
    checkout.inv("deploy", "--env", "sandbox")
    service = load_project(checkout.folder).service
    assert service is not None
    assert real.text in page(f"http://127.0.0.1:{service.port}{real.path}")


@pytest.mark.parametrize(
    "checkout",
    [pytest.param(real, id=name) for name, real in
     {"src": SRC_LIBRARY, "flat": FLAT_LIBRARY, "setup.py": SETUP_PY}.items()],
    indirect=True,
)  # fmt: skip
def test_a_published_library_is_adopted_and_checked(checkout: Repository, wheel: Path) -> None:
    adopt(checkout, wheel)
    project = load_project(checkout.folder)
    assert project.service is None
    assert not project.environments
