"""Reading the source finds every variable that the code asks the environment for, and where."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handrail.config.reads import (
    is_secret_name,
    is_shipped,
    is_system_name,
    python_files,
    read_source,
    read_sources,
    scan,
)
from handrail.config.reads.model import is_required

pytestmark = pytest.mark.unit

# Source; then what is found, as "NAME[!][:type][=default]": "!" is required.
CASES = {
    "the mapping itself": ('import os\nos.environ["A"]', "A!"),
    "the mapping under another name": ('from os import environ as e\ne["A"]; e.get("B")', "A! B"),
    "get and getenv": ('import os\nos.environ.get("A", "x"); os.getenv("B"); os.getenv("C", default="y")', "A=x B C=y"),
    "getenv imported": ('from os import getenv as g\ng("A", "x")', "A=x"),
    "setdefault is a default": ('import os\nos.environ.setdefault("A", "x")', "A=x"),
    "pop": ('import os\nos.environ.pop("A", None); os.environ.pop("B")', "A B!"),
    "bytes": ('import os\nos.environb[b"A"]', "A!"),
    "a membership test": ('import os\nif "A" in os.environ: ...', "A"),
    "writing is not reading": ('import os\nos.environ["A"] = "1"; del os.environ["B"]', ""),
    "a constant as name": ('import os\nKEY = "A"\nos.environ[KEY]', "A!"),
    "a loop over literal names": ('import os\nfor n in ("A", "B"):\n    os.environ[n]', "A! B!"),
    "a comprehension over a constant": ('import os\nN = ["A", "B"]\nx = {n: os.environ.get(n) for n in N}', "A B"),
    "a joined constant": ('import os\nP = "S_"\nos.environ[P + "A"]; os.getenv(f"{P}B")', "S_A! S_B"),
    "int": ('import os\nint(os.environ.get("A", "5"))', "A:int=5"),
    "a number as default": ('import os\nint(os.environ.get("A", 5))', "A:int=5"),
    "bool by comparison": ('import os\nos.getenv("A", "false").lower() == "true"', "A:bool=false"),
    "bool by a tuple of words": ('import os\nos.getenv("A", "").strip().lower() in ("1", "yes")', "A:bool="),
    "bool by what is none": ('import os\nos.getenv("A", "") not in ("", "0")', "A:bool="),
    "another comparison is no bool": ('import os\nos.getenv("A") == "production"', "A"),
    "or gives a default": ('import os\nos.environ.get("A") or "x"', "A=x"),
    "a caught KeyError": ('import os\ntry:\n    x = os.environ["A"]\nexcept KeyError:\n    x = ""', "A"),
    "a KeyError that is told": (
        'import os\ntry:\n    x = os.environ["A"]\nexcept KeyError:\n    raise RuntimeError("A") from None',
        "A!",
    ),
    "a KeyError that ends the program": (
        'import os, sys\ntry:\n    x = os.environ["A"]\nexcept KeyError:\n    sys.exit("A")',
        "A!",
    ),
    "a suppressed KeyError": (
        'import os, contextlib\nwith contextlib.suppress(KeyError):\n    os.environ["A"]',
        "A",
    ),
    "an alias of the mapping": ('import os\nenv = os.environ\ndef f():\n    return env["A"]', "A!"),
    "an alias of get": ('import os\nget = os.environ.get\nget("A", "x")', "A=x"),
    "a copy": ('import os\nenv = os.environ.copy()\nenv.get("A"); env["B"] = "1"', "A"),
    "a parameter with the environment as default": (
        'import os\ndef f(environ=os.environ):\n    return environ.get("A")',
        "A",
    ),
    "a parameter that may be the environment": (
        (
            "import os\ndef f(environ=None):\n    environ = os.environ if environ is None else environ\n"
            '    return environ["A"]'
        ),
        "A!",
    ),
    "a parameter hides a global name": ('import os\nenv = os.environ\ndef f(env):\n    return env["A"]', ""),
    "a mapping that is none": ('environ = {}\nenviron["A"]', ""),
    "an attribute": (
        'import os\nclass C:\n    def __init__(self): self.env = os.environ\n    def f(self): return self.env["A"]',
        "A!",
    ),
    "a wrapper": (
        (
            "import os\ndef need(name, default=None):\n    return os.environ.get(name, default)\n"
            'need("A"); need("B", "x"); need(name="C", default="y")'
        ),
        "A B=x C=y",
    ),
    "a wrapper that raises": (
        (
            "import os\ndef need(name):\n    try:\n        return os.environ[name]\n    except KeyError:\n"
            '        raise RuntimeError(name)\nneed("A")'
        ),
        "A!",
    ),
    "a wrapper used above its definition, with a prefix": (
        'import os\ndef f():\n    return g("A")\ndef g(n):\n    return os.environ["S_" + n]',
        "S_A!",
    ),
    "a method as wrapper": (
        'import os\nclass C:\n    def need(self, n): return os.environ[n]\n    def f(self): return self.need("A")',
        "A!",
    ),
    "environs": (
        'from environs import Env\nenv = Env()\nenv("A"); env.int("B", 5); env.bool("C", default=False); env.url("D")',
        "A! B:int=5 C:bool=false D!:url",
    ),
    "environs, module-level": (
        'from environs import env\nenv.str("A", "x"); env.list("B", default=[])',
        "A:string=x B=",
    ),
    "environs with a prefix": (
        (
            'from environs import Env\nenv = Env()\nwith env.prefixed("S_"):\n    env("A")\n'
            '    with env.prefixed("T_"):\n        env("B")\nenv("C")'
        ),
        "S_A! S_T_B! C!",
    ),
    "environs, reading a file is no variable": ("from environs import Env\nenv = Env()\nenv.read_env()", ""),
    "decouple": (
        'from decouple import config\nconfig("A"); config("B", default=5, cast=int); config("C", False, bool)',
        "A! B:int=5 C:bool=false",
    ),
    "decouple, own instance": (
        'from decouple import AutoConfig\nconfig = AutoConfig(search_path=".")\nconfig("A", default="")',
        "A=",
    ),
    "django-environ": (
        (
            'import environ\nenv = environ.Env(DEBUG=(bool, False), PORT=int)\nenv("DEBUG"); env("PORT"); env("KEY")\n'
            'env.db(); env.cache_url("MY_CACHE", default="locmem://")\n'
            'env.list("HOSTS", default=["a", "b"]); env("N", int)\n'
        ),
        "DEBUG:bool=false PORT!:int KEY! DATABASE_URL!:url MY_CACHE:url=locmem:// HOSTS=a,b N!:int",
    ),
    "Starlette": (
        (
            'from starlette.config import Config\nconfig = Config(".env")\n'
            'config("A", cast=bool, default=False); config("B", str, "x"); config("C")'
        ),
        "A:bool=false B:string=x C!",
    ),
    "pydantic-settings": (
        (
            "from pydantic_settings import BaseSettings, SettingsConfigDict\nfrom typing import ClassVar, Literal\n"
            "from pydantic import Field, PostgresDsn\n"
            "class S(BaseSettings):\n    model_config = SettingsConfigDict(env_prefix='shop_')\n"
            "    n: ClassVar[int] = 1\n"
            "    debug: bool = False\n    port: int | None = None\n    dsn: PostgresDsn\n"
            "    stage: Literal['dev', 'live'] = 'dev'\n    key: str = Field(..., alias='THE_KEY')\n"
            "    _private: int = 3\n"
            "    size: int = Field(4)\n"
        ),
        "SHOP_DEBUG:bool=false SHOP_PORT:int SHOP_DSN!:url SHOP_STAGE:choice=dev THE_KEY!:string SHOP_SIZE:int=4",
    ),
    "pydantic's inner Config, inheritance and nesting": (
        (
            "from pydantic import BaseModel\nfrom pydantic_settings import BaseSettings\n"
            "class Db(BaseModel):\n    host: str\n    port: int = 5432\n"
            "class Base(BaseSettings):\n    class Config:\n        env_prefix = 'S_'\n"
            "        env_nested_delimiter = '__'\n"
            "    db: Db\nclass Mine(Base):\n    more: str\n"
        ),
        "S_DB__HOST!:string S_DB__PORT:int=5432 S_MORE!:string",
    ),
    "Click": (
        'import click\n@click.option("--a", envvar="A")\n@click.option("--b", envvar=["B", "C"])\ndef f(a, b): ...',
        "B C A",
    ),
    "a class of the same name is not environs'": ("class Env: ...\nenv = Env()\nenv('A')", ""),
}


def shown(text: str) -> list[str]:
    return sorted(
        f"{read.name}{'!' if read.required else ''}{f':{read.type}' if read.type else ''}"
        f"{'' if read.default is None else f'={read.default}'}"
        for read in read_source(text, "app.py").reads
    )


@pytest.mark.parametrize(("source", "expected"), CASES.values(), ids=CASES)
def test_what_the_code_reads_is_found_with_its_type_and_default(source: str, expected: str) -> None:
    assert shown(source) == sorted(expected.split())


def test_a_read_knows_its_place_and_its_reader() -> None:
    (read,) = read_source('import os\n\n\nPORT = int(\n    os.environ["PORT"]\n)\n', "shop/app.py").reads

    assert (read.where, read.reader) == ("shop/app.py:5", "os.environ")


def test_a_secret_type_and_the_words_of_a_choice_are_kept() -> None:
    key, stage = read_source(
        "from pydantic_settings import BaseSettings\nfrom pydantic import SecretStr\nfrom typing import Literal\n"
        "class S(BaseSettings):\n    key: SecretStr\n    stage: Literal['dev', 'live'] = 'dev'\n",
        "s.py",
    ).reads

    assert key.is_secret
    assert stage.choices == ("dev", "live")


def test_names_imported_from_another_module_of_the_project_are_followed() -> None:
    texts = {
        "src/shop/urls.py": 'from shop.conf import env, KEY, need\nimport os\nenv("A"); os.environ[KEY]; need("C")\n',
        "src/shop/views.py": 'from .conf import env\nenv.int("D")\n',
        "src/shop/deep/more.py": "from ..conf import S\nclass T(S):\n    field: str\n",
        "src/shop/conf.py": (
            "from environs import Env\nimport os\nfrom pydantic_settings import BaseSettings\nenv = Env()\n"
            'KEY = "B"\ndef need(name):\n    return os.environ[name]\nclass S(BaseSettings, env_prefix="P_"): ...\n'
        ),
    }

    assert list(read_sources(texts).by_name()) == ["A", "B", "C", "D", "P_FIELD"]


def test_a_name_that_only_the_running_program_knows_is_told_with_its_beginning() -> None:
    found = read_source(
        'import os\ndef f(row):\n    os.environ[row.name]\n    return os.getenv(f"SHOP_{row.key}")\n', "a.py"
    )

    assert [(read.prefix, read.line) for read in found.open] == [("", 3), ("SHOP_", 4)]
    assert found.is_covered_by_open("SHOP_SIZE")
    assert not found.is_covered_by_open("OTHER")


def test_a_file_that_is_no_python_is_named_and_the_others_are_read() -> None:
    found = read_sources({"bad.py": "print environ\n", "good.py": 'import os\nos.environ["A"]\n'})

    assert list(found.by_name()) == ["A"]
    assert found.problems[0].startswith("bad.py:1: not read: ")


def test_a_variable_that_the_same_file_can_go_without_is_not_required() -> None:
    reads = read_source('import os\nif "A" in os.environ:\n    os.environ["A"]\nos.environ["B"]\n', "a.py").by_name()

    assert {name: is_required(found) for name, found in reads.items()} == {"A": False, "B": True}


@pytest.mark.parametrize("name", ["SECRET_KEY", "API_KEY", "DB_PASSWORD", "GITHUB_TOKEN", "DATABASE_URL", "SENTRY_DSN"])
def test_a_name_can_say_that_it_is_a_secret(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["PORT", "KEYBOARD", "MONKEY", "TOKENIZER", "AWS_KEY_ID", "PUBLIC_KEY", "SITE_URL", "PASSENGERS"]
)
def test_most_names_do_not(name: str) -> None:
    assert not is_secret_name(name)


def test_what_the_system_sets_is_told_apart() -> None:
    assert [name for name in ("HOME", "CI", "LC_ALL", "GITHUB_SHA", "SHOP_HOME", "PORT") if is_system_name(name)] == [
        "HOME", "CI", "LC_ALL", "GITHUB_SHA",
    ]  # fmt: skip


def test_tests_and_scripts_are_not_shipped() -> None:
    files = ["src/shop/app.py", "shop/tests/test_a.py", "conftest.py", "noxfile.py", "docs/conf.py", "setup.py"]
    files += ["shop/cart/tests.py", "shop/cart_test.py"]
    assert [file for file in files if is_shipped(file)] == ["src/shop/app.py"]


def test_files_that_git_ignores_are_not_read(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("made/\n")
    for name in ("app.py", "made/x.py", ".venv/y.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('import os\nos.environ["A"]\n')
    (tmp_path / ".venv" / ".gitignore").write_text("*\n")

    assert python_files(tmp_path) == ["app.py"]


def test_without_git_environments_and_caches_are_left_out(tmp_path: Path) -> None:
    for name in ("app.py", "shop/views.py", "env1/pyvenv.cfg", "env1/lib/z.py", "node_modules/q.py", ".tox/w.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('import os\nos.environ["A"]\n')

    assert python_files(tmp_path) == ["app.py", "shop/views.py"]
    assert [read.where for read in scan(tmp_path).reads] == ["app.py:2", "shop/views.py:2"]


WORDS = st.sampled_from(["A", "SHOP_KEY", "X9", "_PRIVATE", "lower"])
READS = st.sampled_from(
    ['os.environ["{}"]', 'os.environ.get("{}", "x")', 'getenv("{}")', 'env("{}")', 'env.int("{}", default=1)']
)
SHAPES = st.sampled_from(
    ["x = {}", "def f():\n    return {}", "class C:\n    a = {}", "if {}:\n    pass", "x = [{} for _ in range(3)]",
     "x = lambda: {}", "async def g():\n    for y in [{}]:\n        pass", "@decorate({})\ndef h(a={}): ..."]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.tuples(WORDS, READS, SHAPES), min_size=1, max_size=6))
def test_no_read_is_lost_whatever_stands_around_it(parts: list[tuple[str, str, str]]) -> None:
    head = "import os\nfrom os import getenv\nfrom environs import Env\nenv = Env()\n"
    body = "\n".join(shape.replace("{}", read.format(name)) for name, read, shape in parts)

    assert set(read_source(head + body, "a.py").by_name()) == {name for name, _, _ in parts}


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_named_as_unreadable(text: str) -> None:
    found = read_source(textwrap.dedent(text), "a.py")

    assert len(found.problems) <= 1
