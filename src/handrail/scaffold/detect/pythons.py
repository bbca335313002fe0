"""Which Pythons the project supports: classifiers, held against ``requires-python``."""

from __future__ import annotations

import re

from handrail.scaffold.detect.declared import Declared

KNOWN = ("3.10", "3.11", "3.12", "3.13", "3.14")
"""What Handrail itself runs on and tests can be run with."""
DEFAULT = KNOWN[:4]
_CLASSIFIER = re.compile(r"Programming Language :: Python :: (3\.\d+)")


def supported_pythons(declared: Declared) -> tuple[str, ...]:
    """Return the minor versions for the matrix, never none: what is declared, as far as Handrail runs on it."""
    named = [match[1] for text in declared.classifiers if (match := _CLASSIFIER.fullmatch(text))]
    wanted = [version for version in KNOWN if version in named] or list(DEFAULT)
    allowed = [version for version in wanted if allows(declared.requires_python, version)]
    return tuple(allowed or [version for version in KNOWN if allows(declared.requires_python, version)] or DEFAULT)


def supports_older(declared: Declared) -> bool:
    """Return whether the project also runs on versions that are older than Handrail's oldest."""
    return bool(declared.requires_python) and any(
        allows(declared.requires_python, version) for version in ("2.7", *(f"3.{minor}" for minor in range(4, 10)))
    )


def allows(text: str, version: str) -> bool:
    """Return whether ``requires-python`` holds for some patch release of a minor version."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        required = SpecifierSet(text)
    except InvalidSpecifier:
        return True
    return any(required.contains(f"{version}.{patch}") for patch in (0, 30))
