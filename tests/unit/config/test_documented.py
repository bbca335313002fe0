"""docs/configuration.md names every key there is, with its default, and none that does not exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from handrail.config import schema

pytestmark = pytest.mark.unit

TEXT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text("utf-8")
TABLES: dict[str, type[msgspec.Struct]] = {
    "[tool.handrail]": schema.Project,
    "[tool.handrail.service]": schema.Service,
    "[tool.handrail.processes.<name>]": schema.Worker,
    "[tool.handrail.build]": schema.Build,
    "[tool.handrail.environments.<name>]": schema.Environment,
    "[tool.handrail.environments.<name>.proxy]": schema.Proxy,
    "[tool.handrail.environments.<name>.canary]": schema.Canary,
    "[[tool.handrail.smoke]]": schema.Smoke,
    "[tool.handrail.checks]": schema.Checks,
    "[tool.handrail.setup]": schema.Setup,
}
# Tables of their own in the document.
NESTED = {"service", "processes", "build", "environments", "hooks", "smoke", "checks", "setup"}
# In words: "the service's".
INHERITED = {"manager", "port", "python"}


def section(title: str) -> str:
    _, _, rest = TEXT.partition(f"### `{title}`\n")
    assert rest, f"no section {title}"
    return re.split(r"^#{2,3} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(title: str) -> dict[str, str]:
    """Return the default by key, as the document's table has them."""
    return dict(re.findall(r"^\| `([a-z_]+)` \| .*? \| (.*?) \| ", section(title), re.MULTILINE))


def shown(field: msgspec.inspect.Field) -> str:
    default: Any = field.default
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    return default if isinstance(default, str) and default else json.dumps(default)


@pytest.mark.parametrize("title", TABLES)
def test_each_key_is_documented_with_its_default(title: str) -> None:
    kind = TABLES[title]
    fields = {f.name: f for f in msgspec.inspect.type_info(kind).fields if f.name not in NESTED}  # type: ignore[union-attr]
    documented = rows(title)
    assert set(documented) == set(fields)
    for name, default in documented.items():
        if kind is schema.Environment and name in INHERITED:
            continue
        assert default.strip("`") == shown(fields[name]), name


def test_each_hook_is_documented() -> None:
    assert set(re.findall(r"`([a-z]+_[a-z]+)`", section("[tool.handrail.hooks]"))) == set(
        schema.Hooks.__struct_fields__
    )
