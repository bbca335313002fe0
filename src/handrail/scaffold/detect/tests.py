"""Where the tests are, what runs them and what they need beside the project."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from handrail.scaffold.detect.declared import Declared, lines, parse_ini, poetry_line, table
from handrail.scaffold.detect.server import requirement_name
from handrail.scaffold.detect.sources import Sources, is_test
from handrail.scaffold.facts import RunnerKind, Tests

_GROUPS = ("test", "tests", "testing")
# The source of a compiled file comes first: pins of another year do not install on today's Python.
_FILES = (
    "requirements/tests.in", "requirements/test.in", "requirements/testing.in", "requirements/dev.in",
    "requirements-dev.in", "requirements-test.in", "dev-requirements.in", "test-requirements.in",
    "requirements-test.txt", "requirements-tests.txt", "requirements-dev.txt", "requirements_dev.txt",
    "requirements_test.txt", "requirements_tests.txt", "test-requirements.txt", "dev-requirements.txt",
    "dev.requirements.txt", "tests/requirements.txt", "requirements/tests.txt", "requirements/test.txt",
    "requirements/dev.txt", "requirements/development.txt", "requirements/local.txt",
    "requirements.development.txt", "requirements.dev.txt", "requirements-development.txt",
    "requirements.test.txt", "requirements.tests.txt",
)  # fmt: skip
# They would run the tests from outside, or they are what Handrail does.
_NOT_NEEDED = {"tox", "pip", "setuptools", "wheel", "build", "twine", "hatch", "pip-tools", "nose", "nose2"}


def find_tests(sources: Sources, declared: Declared, manage: str) -> Tests:
    """Return how the project is tested; ``manage`` is the path of Django's manage.py, or empty."""
    needs = _needs(sources, declared)
    names = {requirement_name(line) for line in [*needs, *declared.dependencies, *declared.extras, *_grouped(declared)]}
    folder = _folder(sources)
    return Tests(
        folder=folder,
        runner=_runner(sources, declared, names, folder, manage),
        needs=tuple(needs),
        groups=tuple(name for name in _GROUPS if name in declared.groups),
    )


def _folder(sources: Sources) -> str:
    files = [name for name in sources.files if is_test(name)]
    if not files:
        return ""
    tops = [PurePosixPath(name).parts[0] for name in files if "/" in name]
    return next((top for top in ("tests", "test") if top in tops), "") or str(PurePosixPath(files[0]).parent)


def _runner(sources: Sources, declared: Declared, names: set[str], folder: str, manage: str) -> RunnerKind:
    has_settings = (
        table(declared.tools, "pytest")
        or (sources.root / "pytest.ini").is_file()
        or "[tool:pytest]" in sources.text("setup.cfg")
        or "[pytest]" in sources.text("tox.ini")
    )
    if manage and "pytest-django" not in names:
        return "django"
    if not folder:
        return "none"
    if has_settings or "pytest" in names or (sources.root / "conftest.py").is_file():
        return "pytest"
    return "unittest"


def _needs(sources: Sources, declared: Declared) -> list[str]:
    found: list[str] = []
    for name in _FILES:
        if (sources.root / name).is_file():
            found = requirement_lines(sources.text(name))
            break
    found += _tox(sources)
    found += lines(declared.setup.get("tests_require"))
    hatch = table(declared.tools, "hatch", "envs")
    for environment in ("default", "test", "tests", "hatch-test"):
        found += lines(table(hatch, environment).get("dependencies"))
        found += lines(table(hatch, environment).get("extra-dependencies"))
    poetry = table(declared.poetry, "group")
    for group in ("dev", *_GROUPS):
        found += [poetry_line(*item) for item in table(poetry, group, "dependencies").items()]
    found += [poetry_line(*item) for item in table(declared.poetry, "dev-dependencies").items()]
    chosen: dict[str, str] = {}
    for line in found:
        chosen.setdefault(requirement_name(line), line)
    own = {requirement_name(line) for line in declared.dependencies}
    return [line for name, line in chosen.items() if name and name not in _NOT_NEEDED | own and "://" not in line]


def _tox(sources: Sources) -> list[str]:
    found = []
    for line in lines(parse_ini(sources.text("tox.ini")).get("testenv", "deps", fallback="")):
        if match := re.match(r"-r\s*(?:\{toxinidir\}/)?(\S+)", line):
            # The file that it was compiled from, where there is one.
            names = (str(PurePosixPath(match[1]).with_suffix(".in")), match[1])
            found += next((requirement_lines(text) for name in names if (text := sources.text(name))), [])
        elif ":" not in line.split(";")[0].split("@")[0]:
            found.append(line)
        elif not re.match(r"[\w{},!-]*\b(?:django|flask|py)\w*[^:]*:", line):
            found.append(line.partition(":")[2].strip())
    return [line for line in found if "{" not in line and not line.startswith("-")]


def requirement_lines(text: str) -> list[str]:
    """Return the plain requirements of a requirements file: no options, no other files, no hashes."""
    found = []
    for raw in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).split(" --hash")[0].strip()
        if line and not line.startswith(("-", ".", "/")) and "://" not in line:
            found.append(line)
    return found


def _grouped(declared: Declared) -> list[str]:
    return [line for group in declared.groups.values() for line in lines(group)]
