"""tasks.py and noxfile.py: three lines each."""

from __future__ import annotations

TASKS = "tasks.py"
NOXFILE = "noxfile.py"
TASKS_TEXT = "import handrail\n\nnamespace = handrail.collection()\n"
NOXFILE_TEXT = "import handrail.sessions\n\nhandrail.sessions.register()\n"
TASKS_NOTE = "add `import handrail` at its top, and as its last line `namespace = handrail.collection(globals())`"
NOXFILE_NOTE = "add the two lines `import handrail.sessions` and `handrail.sessions.register()`"
SMOKE = "tests/test_import.py"


def smoke_test_text(package: str) -> str:
    """Return a first test for a project that has none."""
    return (
        f'"""The first test: what cannot be imported cannot be released."""\n\nimport importlib\n\n\n'
        f'def test_the_package_can_be_imported():\n    assert importlib.import_module("{package}")\n'
    )
