"""tasks.py and noxfile.py: three lines each."""

from __future__ import annotations

TASKS = "tasks.py"
NOXFILE = "noxfile.py"
TASKS_TEXT = "import handrail\n\nnamespace = handrail.collection()\n"
NOXFILE_TEXT = "import handrail.sessions\n\nhandrail.sessions.register()\n"
TASKS_NOTE = "add `import handrail` at its top, and as its last line `namespace = handrail.collection(globals())`"
NOXFILE_NOTE = "add the two lines `import handrail.sessions` and `handrail.sessions.register()`"
SMOKE = "tests/test_import.py"


def smoke_test_text(package: str, *, needs_variables: bool) -> str:
    """Return a first test for a project that has none.

    Args:
        needs_variables: the code fails where a variable is not set, so importing it proves nothing.
    """
    if needs_variables:
        return (
            '"""The first test: what is not there cannot be released."""\n\n'
            "from importlib.util import find_spec\n\n\n"
            f'def test_the_package_is_there():\n    assert find_spec("{package}")\n'
        )
    return (
        f'"""The first test: what cannot be imported cannot be released."""\n\nimport importlib\n\n\n'
        f'def test_the_package_can_be_imported():\n    assert importlib.import_module("{package}")\n'
    )
