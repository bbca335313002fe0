"""Whatever bytes stand in a file, only a `ConfigError` or `UsageError` comes out; and what is written comes back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handrail.config.contract import load_contract, parse_contract
from handrail.config.envfile import parse_entries
from handrail.config.load import environment, find_root, load_project, parse_toml
from handrail.config.locate import KeyPath, key_lines
from handrail.config.target import parse_address, resolve
from handrail.config.values import load_values
from handrail.errors import UsageError

pytestmark = pytest.mark.unit
a_property = settings(deadline=None, max_examples=150)

BARE_KEYS = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
TOML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
SCALARS = st.one_of(
    st.integers(), st.floats(), st.booleans(), TOML_TEXT, st.sampled_from(["systemd", "/x", "3.12", "a.example"])
)
ENV_TEXT = st.lists(
    st.sampled_from(
        [
            *["A", "B", "TOKEN", "=", "'", '"', "\\", "\n", "\r", "\r\n", "\f", "\x85", "\u2028", "\0"],
            *["# ", "#", " ", "${", "}", "${A}", "${B:-x}", ":-", "export ", "\ufeff", "é", "1", ", "],
            *["type: ", "type: int", "secret: yes", "needed by: ", "choice(a|b)"],
        ]
    ),
    max_size=30,
).map("".join)


@contextmanager
def project(**files: str | bytes) -> Iterator[Path]:
    """A folder with the given files; ``__`` in a name stands for ``/``."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "env").mkdir()
        for name, content in files.items():
            raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
            path = root / name.replace("__", "/")
            path.with_name(f"{path.name.replace('_', '.')}").write_bytes(raw)
        yield root


@contextmanager
def errors_of_ours() -> Iterator[None]:
    """Nothing but a `UsageError` of one line may come out; `ConfigError` is one, too."""
    try:
        yield
    except UsageError as error:
        check_is_one_line(error.message)


def check_is_one_line(message: str) -> None:
    assert len(message.splitlines()) == 1


def schema_keys() -> list[str]:
    from handrail.config import schema

    tables = [kind for kind in vars(schema).values() if hasattr(kind, "__struct_fields__")]
    return sorted({field for table in tables for field in table.__struct_fields__})


def toml_tables(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    keys = st.one_of(st.sampled_from(schema_keys()), st.sampled_from(["staging", "inv"]), BARE_KEYS)
    values = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
    )
    return st.dictionaries(keys, values, max_size=6)


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{inline_key(key)} = {inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value).lower()


def inline_key(key: str) -> str:
    return key if key and key.isascii() and key.replace("-", "").replace("_", "").isalnum() else inline(key)


@a_property
@given(st.one_of(st.binary(max_size=60), ENV_TEXT.map(str.encode)))
def test_any_bytes_in_pyproject_give_a_project_or_an_error_of_ours(raw: bytes) -> None:
    for content in (raw, b"[tool.handrail]\napp = 'x'\n" + raw, b"tool.handrail = " + raw):
        with project(pyproject_toml=content) as root, errors_of_ours():
            find_root(root)
            load_project(root)


@a_property
@given(toml_tables(SCALARS))
def test_any_table_gives_a_project_or_a_line_that_is_in_the_file(table: dict[str, Any]) -> None:
    lines = [f"{inline_key(key)} = {inline(value)}" for key, value in table.items()]
    text = "\n".join(["[tool.handrail]", *([] if "app" in table else ["app = 'shop'"]), *lines])
    with project(pyproject_toml=text) as root:
        try:
            found = load_project(root)
            for name in found.environments:
                resolve(found, name, load_values(root, name, process={}))
        except UsageError as error:
            message = error.message
            check_is_one_line(message)
        else:
            return
    place, _, line = message.partition(": ")[0].partition(":")
    assert place == "pyproject.toml"
    assert 1 <= int(line) <= text.count("\n") + 1


@a_property
@given(st.one_of(st.binary(max_size=60), ENV_TEXT.map(str.encode)), st.binary(max_size=20))
def test_any_bytes_in_env_files_give_values_or_an_error_of_ours(first: bytes, second: bytes) -> None:
    contract = b"# type: int\nA=1\n# secret: yes\nTOKEN=\n"
    for files in ({"env__staging_env": first}, {"env__staging_env": b"A=${B:-3}\n" + first + second}):
        with project(env__example_env=contract, **files) as root, errors_of_ours():
            values = load_values(root, "staging", process={"B": "2"})
            values.contract.problems(values, "deploy")
            values.for_app()


@a_property
@given(st.one_of(st.binary(max_size=60), ENV_TEXT.map(str.encode)))
def test_any_bytes_in_the_contract_give_a_contract_or_an_error_of_ours(raw: bytes) -> None:
    for content in (raw, b"# type: " + raw + b"\nA=1\n", b"# type: int\n" + raw):
        with project(env__example_env=content) as root, errors_of_ours():
            contract = load_contract(root)
            values = load_values(root, "staging", process={"A": "x", "B": ""})
            contract.problems(values, "deploy")


@a_property
@given(st.text())
def test_any_name_gives_an_environment_or_an_error_of_ours(name: str) -> None:
    with project(pyproject_toml="[tool.handrail]\napp = 'x'\n") as root:
        with errors_of_ours():
            environment(load_project(root), name)
        with errors_of_ours():
            load_values(root, name, process={})


@a_property
@given(st.one_of(st.text(), st.from_regex(r"([a-z]+@)?[a-z.:\[\]-]+(:[0-9]+)?", fullmatch=True)))
def test_any_host_is_an_address_without_dangerous_characters_or_an_error_of_ours(text: str) -> None:
    with errors_of_ours():
        address = parse_address(text)
        assert not set(text) & set(" \t\r\n;&|<>$`'\"\\(){}*?!#~=/,")
        assert not address.host.startswith("-")
        assert not address.user.startswith("-")


@a_property
@given(st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
def test_what_is_quoted_into_an_env_file_comes_back(expected: dict[str, str]) -> None:
    def quoted(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"

    text = "".join(f"{name}={quoted(value)}\n" for name, value in expected.items())

    entries = parse_entries(text, "env/staging.env")

    assert {entry.name: entry.text for entry in entries} == expected
    assert all(entry.literal for entry in entries)
    # Read through a file, too: no reader on the way may change line ends or characters.
    with project(env__staging_env=text) as root:
        values = load_values(root, "staging", process={})
        assert {name: value.text for name, value in values.items()} == expected


@a_property
@given(
    st.dictionaries(
        NAMES,
        st.tuples(
            st.sampled_from(["string", "int", "host", "choice(a|b)"]),
            st.sampled_from(["app", "nothing", "deploy, app", "lint, test"]),
            st.booleans(),
            TOML_TEXT,
        ),
    )
)
def test_what_is_written_into_a_contract_comes_back(expected: dict[str, tuple[str, str, bool, str]]) -> None:
    text = ""
    for name, (kind, needed_by, secret, prose) in expected.items():
        text += f"# About: {prose}\n# type: {kind}, needed by: {needed_by}, secret: {'yes' if secret else 'no'}\n"
        text += f"{name}=\n"

    variables = parse_contract(text).variables

    assert list(variables) == list(expected)
    for name, (kind, needed_by, secret, _) in expected.items():
        found = variables[name]
        assert found.type == kind.partition("(")[0]
        assert ", ".join(found.needed_by) == needed_by.replace("nothing", "")
        assert found.secret == secret
        assert found.text.startswith("About:")


@a_property
@given(toml_tables(st.one_of(st.integers(), TOML_TEXT)), st.data())
def test_every_key_is_located_on_the_line_on_which_it_was_written(table: dict[str, Any], data: st.DataObject) -> None:
    lines: list[str] = []
    expected: dict[KeyPath, int] = {}

    def emit(table: dict[str, Any], path: KeyPath, header: str) -> None:
        for key, value in table.items():
            if not isinstance(value, dict):
                expected[(*path, key)] = len(lines) + 1
                gap = data.draw(st.sampled_from(["", " # x = 1"]))
                if isinstance(value, list) and data.draw(st.booleans()):
                    lines.append(f"{inline_key(key)} = [{gap}")
                    for index, item in enumerate(value):
                        expected[(*path, key, index)] = len(lines) + 1
                        lines.append(f"  {inline(item)},{gap}")
                    lines.append("]")
                else:
                    lines.append(f"{inline_key(key)} = {inline(value)}{gap}")
        for key, value in table.items():
            if isinstance(value, dict):
                name = f"{header}{'.' if header else ''}{inline_key(key)}"
                lines.extend(data.draw(st.sampled_from([[], ["", "# [comment]"]])))
                expected[(*path, key)] = len(lines) + 1
                lines.append(f"[{name}]")
                emit(value, (*path, key), name)

    emit(table, (), "")
    text = "\n".join(lines)
    parse_toml(text)

    found = key_lines(text)

    assert {path: found.get(path) for path in expected} == expected
