"""What the pages point at is there: files, headings, and the tasks and options that they tell people to type."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest
from invoke.collection import Collection

from handrail.tasks.catalog import collection

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "examples" / "webapp" / "README.md"])
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")

pytestmark = pytest.mark.unit


def repository_tasks() -> Collection:
    """Return the tasks of this repository, its own ones included."""
    before = sys.dont_write_bytecode
    try:
        namespace: Collection = runpy.run_path(str(ROOT / "tasks.py"))["namespace"]
    finally:
        sys.dont_write_bytecode = before
    return namespace


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    broken = []
    for link in LINK.findall(page.read_text("utf-8")):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_inv_command_in_a_code_span_names_a_task_and_options_that_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    spans = re.findall(r"^```(?:sh|yaml)?\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    spans += re.findall(r"`([^`\n]+)`", text)
    namespace = repository_tasks()
    tasks = namespace.task_names
    unknown = []
    for span in spans:
        for found in re.finditer(r"(?:^|[\s$(]|bin/)inv ([a-z][a-z.-]*)([^\n#`]*)", span):
            name, rest = found[1].rstrip("."), found[2].split(" -- ")[0]
            if name not in tasks:
                unknown.append(f"inv {name}")
                continue
            flags = namespace[name].get_arguments()
            known = {flag.replace("_", "-") for argument in flags for flag in argument.names}
            unknown += [
                f"inv {name} --{flag}"
                for flag in re.findall(r"(?<=\s)--([a-z][a-z-]*)", rest)
                if flag.removeprefix("no-") not in known
            ]
    assert not unknown


def test_the_readme_names_every_task() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    missing = [
        name
        for name in collection().task_names
        if not re.search(rf"`(?:inv )?{name}\b|`\.{name.split('.')[-1]}`", readme)
    ]
    assert not missing
