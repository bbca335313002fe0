"""Importing the configuration costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit


def test_importing_the_modules_pulls_in_none_of_the_heavy_ones() -> None:
    modules = ["load", "values", "contract", "envfile", "target", "rules", "explain", "locate"]
    code = (
        "import sys\n"
        + "".join(f"import handrail.config.{name}\n" for name in modules)
        + "print(sorted({'msgspec', 'dotenv', 'tomllib', 'tomli', 'rich', 'invoke'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
