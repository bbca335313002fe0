from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from handrail.config.contract import parse_contract
from handrail.scaffold.detect.repository import look_at
from handrail.scaffold.facts import Facts, Package, Web
from handrail.scaffold.write.choices import Choices
from handrail.scaffold.write.contract import contract_text, sandbox_text

pytestmark = pytest.mark.unit

Repository = Callable[[Mapping[str, str]], Path]

CODE = """\
import os

SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = os.getenv("DEBUG", "False")
DATABASE_URL = os.environ["DATABASE_URL"]
WORKERS = int(os.environ.get("WORKERS", 4))
MAIL_HOST = os.environ["MAIL_HOST"]
GREETING = os.environ.get("GREETING", 'say "hello"')
HOME = os.environ["HOME"]
PORT = os.environ["PORT"]
"""


def found(repository: Repository) -> Facts:
    return look_at(repository({"shop/__init__.py": CODE, "tests/test_a.py": 'import os\nos.environ["FAKE"]\n'}))[0]


def test_the_programs_own_variables_are_found_with_type_default_and_secrecy(repository: Repository) -> None:
    variables = {variable.name: variable for variable in found(repository).variables}
    assert set(variables) == {"SECRET_KEY", "DEBUG", "DATABASE_URL", "WORKERS", "MAIL_HOST", "GREETING"}
    assert (variables["DEBUG"].type, variables["DEBUG"].default, variables["DEBUG"].has_default) == (
        "bool",
        "false",
        True,
    )
    assert (variables["WORKERS"].type, variables["WORKERS"].default) == ("int", "4")
    assert variables["MAIL_HOST"].type == "host"
    assert variables["SECRET_KEY"].secret
    assert variables["DATABASE_URL"].secret
    assert not variables["MAIL_HOST"].secret
    assert (variables["SECRET_KEY"].file, variables["SECRET_KEY"].line) == ("shop/__init__.py", 3)


def test_the_contract_that_is_written_is_one_that_handrail_reads(repository: Repository) -> None:
    choices = Choices(found(repository), "shop", is_service=True)
    contract = parse_contract(contract_text(choices))
    assert set(contract.variables) == {variable.name for variable in choices.facts.variables}
    assert contract.variables["SECRET_KEY"].needed_by == ("app",)
    assert contract.variables["SECRET_KEY"].secret
    assert contract.variables["DEBUG"].needed_by == ()
    assert contract.variables["GREETING"].default == 'say "hello"'


def test_the_sandbox_gets_a_fitting_value_for_all_that_the_service_needs(repository: Repository) -> None:
    choices = Choices(found(repository), "shop", is_service=True)
    values = dict(line.split("=", 1) for line in sandbox_text(choices).splitlines() if "=" in line)
    contract = parse_contract(contract_text(choices))
    needed = {name for name, variable in contract.variables.items() if variable.needed_by}
    assert set(values) == needed
    assert all(contract.variables[name].accepts(value) for name, value in values.items())
    assert values["SECRET_KEY"].startswith("only-for-the-sandbox-")
    assert values["DATABASE_URL"].startswith("sqlite:")


def test_settings_that_nothing_names_become_a_variable() -> None:
    web = Web("django", settings="shop.settings.base", is_settings_default=False)
    choices = Choices(Facts(Package("shop"), web=web), "shop", is_service=True)
    assert parse_contract(contract_text(choices)).variables["DJANGO_SETTINGS_MODULE"].default == "shop.settings.base"
