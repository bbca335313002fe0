"""What pyproject.toml, setup.cfg and setup.py say of the project, as one small record."""

from __future__ import annotations

import ast
import configparser
import re
from dataclasses import dataclass, field
from typing import Any

from handrail.config.explain import shown
from handrail.config.load import FILE, parse_toml, read_text
from handrail.config.locate import line_of
from handrail.errors import ConfigError
from handrail.scaffold.detect.sources import Sources, dotted, literal

_MEND = "mend it first; nothing was changed"
_INCLUDE = "include-group"
_TABLES = (
    ("project",),
    ("dependency-groups",),
    ("tool",),
    ("tool", "uv"),
    ("tool", "uv", "workspace"),
    ("tool", "uv", "sources"),
)


@dataclass(frozen=True)
class Declared:
    """Metadata, from wherever it is declared; ``pyproject`` is the whole document."""

    pyproject: dict[str, Any] = field(default_factory=dict)
    setup: dict[str, Any] = field(default_factory=dict)
    """Keywords of ``setup()`` that are plain values, over what setup.cfg says in the same names."""
    has_setup_py: bool = False

    @property
    def project(self) -> dict[str, Any]:
        return table(self.pyproject, "project")

    @property
    def poetry(self) -> dict[str, Any]:
        return table(self.pyproject, "tool", "poetry")

    @property
    def tools(self) -> dict[str, Any]:
        return table(self.pyproject, "tool")

    @property
    def name(self) -> str:
        return str(self.project.get("name") or self.poetry.get("name") or self.setup.get("name") or "")

    @property
    def requires_python(self) -> str:
        poetry = table(self.poetry, "dependencies").get("python", "")
        return str(
            self.project.get("requires-python") or self.setup.get("python_requires") or _poetry_python(str(poetry))
        )

    @property
    def classifiers(self) -> list[str]:
        return lines(self.project.get("classifiers") or self.poetry.get("classifiers") or self.setup.get("classifiers"))

    @property
    def dependencies(self) -> list[str]:
        """Requirement lines of the running program."""
        if "dependencies" in self.project:
            return lines(self.project["dependencies"])
        poetry = table(self.poetry, "dependencies")
        found = [poetry_line(name, value) for name, value in poetry.items() if name != "python"]
        return found or lines(self.setup.get("install_requires"))

    @property
    def extras(self) -> list[str]:
        """Requirement lines of all extras."""
        found = self.project.get("optional-dependencies") or self.setup.get("extras_require") or {}
        return [line for value in found.values() for line in lines(value)] if isinstance(found, dict) else []

    @property
    def groups(self) -> dict[str, Any]:
        return table(self.pyproject, "dependency-groups")


def read_declared(sources: Sources) -> Declared:
    """Return what is declared.

    Raises:
        ConfigError: pyproject.toml is not TOML, or something else stands where tables and lists belong.
    """
    root = sources.root
    document: dict[str, Any] = {}
    if (root / FILE).is_file():
        text = read_text(root, FILE)
        try:
            document = parse_toml(text)
        except ValueError as error:
            raise ConfigError(f"{FILE}: {error}", next_step=_MEND) from None
        _require_shapes(document, text)
    setup = {**_setup_cfg(sources.text("setup.cfg")), **_setup_py(sources)}
    return Declared(document, setup, (root / "setup.py").is_file())


def _require_shapes(document: dict[str, Any], text: str) -> None:
    """Refuse what could not be added to."""
    for path in _TABLES:
        above = table(document, *path[:-1])
        if path[-1] in above and not isinstance(above[path[-1]], dict):
            raise _misshapen(text, path, above[path[-1]], "a table")
    for name, group in table(document, "dependency-groups").items():
        if not isinstance(group, list):
            raise _misshapen(text, ("dependency-groups", name), group, "a list")
        for entry in group:
            if not isinstance(entry, str) and not (isinstance(entry, dict) and isinstance(entry.get(_INCLUDE), str)):
                what = f'requirements and {{{_INCLUDE} = "…"}}'
                raise _misshapen(text, ("dependency-groups", name), entry, what, verb="has")


def _misshapen(text: str, path: tuple[str, ...], found: object, expected: str, *, verb: str = "is") -> ConfigError:
    where = f"{FILE}:{line_of(text, path)}: {'.'.join(path)}"
    return ConfigError(f"{where} {verb} {shown(found)}, expected {expected}", next_step=_MEND)


def table(document: dict[str, Any], *path: str) -> dict[str, Any]:
    """Return the table at ``path``; empty where there is none."""
    value: Any = document
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def lines(value: Any) -> list[str]:
    """Return a list or a text of several lines as the texts in it, without blank ones and comments."""
    if isinstance(value, str):
        value = value.splitlines()
    if not isinstance(value, (list, tuple)):
        return []
    found = (item.strip() for item in value if isinstance(item, str))
    return [item for item in found if item and not item.startswith("#")]


def poetry_line(name: str, value: Any) -> str:
    """Return one of poetry's dependencies as a requirement line; of a path or repository only the name."""
    details = value if isinstance(value, dict) else {"version": value}
    extras = f"[{','.join(lines(details.get('extras')))}]" if details.get("extras") else ""
    return name + extras + _poetry_version(str(details.get("version", "*")))


def _poetry_version(text: str) -> str:
    """Return ``^1.2.3`` as ``>=1.2.3,<2``, ``~1.2`` as ``>=1.2,<1.3``, a bare version as ``==``."""
    if text == "*":
        return ""
    match = re.fullmatch(r"([\^~]?)(\d+(?:\.\d+)*)", text)
    if match is None:
        return text.replace(" ", "")
    sign, version = match[1], match[2]
    if not sign:
        return f"=={version}"
    parts = [int(part) for part in version.split(".")]
    # The caret keeps the first number that is not zero, the tilde the second one.
    kept = next((n for n, part in enumerate(parts) if part), len(parts) - 1) if sign == "^" else min(1, len(parts) - 1)
    upper = [*parts[:kept], parts[kept] + 1]
    return f">={version},<{'.'.join(map(str, upper))}"


def parse_ini(text: str) -> configparser.ConfigParser:
    """Return the sections of a setup.cfg or tox.ini; none where the text cannot be read."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return configparser.ConfigParser()
    return parser


def _setup_cfg(text: str) -> dict[str, Any]:
    parser = parse_ini(text)
    found: dict[str, Any] = {}
    for section in ("metadata", "options"):
        if parser.has_section(section):
            found.update(parser.items(section))
    for name in ("install_requires", "tests_require", "classifiers", "py_modules"):
        if name in found:
            found[name] = lines(found[name])
    if parser.has_section("options.extras_require"):
        found["extras_require"] = {key: lines(value) for key, value in parser.items("options.extras_require")}
    return found


def _setup_py(sources: Sources) -> dict[str, Any]:
    tree = sources.tree("setup.py")
    if tree is None:
        return {}
    plain = {
        target.id: value
        for node in tree.body
        if isinstance(node, ast.Assign) and (value := literal(node.value)) is not None
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] == "setup":
            found = {}
            for keyword in node.keywords:
                value = plain.get(dotted(keyword.value)) if dotted(keyword.value) else literal(keyword.value)
                if keyword.arg and value is not None:
                    found[keyword.arg] = value
            return found
    return {}


def _poetry_python(text: str) -> str:
    """Return poetry's ``^3.10`` as ``>=3.10,<4``, of several conditions each; what is no version stays as it is."""
    parts = (part.strip() for part in text.split(","))
    return ",".join(_poetry_version(part) if part.startswith(("^", "~")) else part for part in parts)
