"""Which checks the project already holds its code to, so that adopting Handrail makes nobody's code red."""

from __future__ import annotations

import re

from handrail.scaffold.detect.declared import Declared, table
from handrail.scaffold.detect.pins import find_pins
from handrail.scaffold.detect.sources import Sources
from handrail.scaffold.facts import Style

# Where a project says that `ruff format` is its formatter.
_FORMATTERS = (".pre-commit-config.yaml", "tox.ini", "noxfile.py", "Makefile", "justfile", ".github/workflows")
_RUFF_FORMAT = re.compile(r"ruff-format|ruff format")


def find_style(sources: Sources, declared: Declared) -> Style:
    """Return what the project has settings for."""
    ruff = table(declared.tools, "ruff")
    own_file = next((name for name in ("ruff.toml", ".ruff.toml") if (sources.root / name).is_file()), "")
    formats = "format" in ruff or "[format]" in sources.text(own_file) if own_file or ruff else False
    formats = formats or any(_RUFF_FORMAT.search(text) for text in _texts(sources))
    mypy = table(declared.tools, "mypy")
    files = [name for name in ("mypy.ini", ".mypy.ini") if (sources.root / name).is_file()]
    strict = any(re.search(r"(?m)^strict\s*=\s*[Tt]rue", sources.text(name)) for name in files)
    in_setup_cfg = "[mypy" in sources.text("setup.cfg")
    pins = find_pins(sources)
    # ruff's own choice of rules grows from version to version: only a project that chose, or that stays with one
    # version, knows what its code is held to.
    chose = "select" in ruff or "select" in table(ruff, "lint")
    chose = chose or bool(re.search(r"(?m)^select\s*=", sources.text(own_file) if own_file else ""))
    return Style(
        has_ruff=chose or (bool(ruff or own_file) and "ruff" in pins),
        formats=formats,
        has_mypy=bool(mypy or files or in_setup_cfg),
        is_strict=bool(mypy.get("strict")) or strict,
        pins=pins,
    )


def _texts(sources: Sources) -> list[str]:
    texts = []
    for name in _FORMATTERS:
        path = sources.root / name
        if path.is_dir():
            texts += [sources.text(f"{name}/{file.name}") for file in sorted(path.glob("*.y*ml"))]
        else:
            texts.append(sources.text(name))
    return texts
