"""All rules over all files, without what a project has accepted."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.diagnosis import Diagnosis
from handrail.parity.programs import programs_missing_here
from handrail.parity.pythons import lists_that_differ
from handrail.parity.sides import checks_on_one_side
from handrail.parity.sources import Sources, read_all
from handrail.parity.steps import (
    actions_of_two_versions,
    actions_that_are_not_pinned,
    steps_that_are_no_task,
    tasks_that_do_not_exist,
)
from handrail.parity.versions import tools_of_two_versions

if TYPE_CHECKING:
    from handrail.config.schema import Project

RULES: tuple[Callable[[Sources], Iterator[Diagnosis]], ...] = (
    steps_that_are_no_task,
    actions_that_are_not_pinned,
    actions_of_two_versions,
    tools_of_two_versions,
    lists_that_differ,
    checks_on_one_side,
)
_IGNORE = re.compile(r"#.*?\bhandrail:\s*ignore\[([a-z, -]+)\]")


def look(
    root: Path, project: Project, tools: tuple[str, ...], *, tasks: Collection[str] = (), machine: bool = False
) -> list[Diagnosis]:
    """Return every finding, in the order of files and lines.

    Args:
        tools: what ``inv check`` runs, see `Sources`.
        tasks: every task that the project has; empty: calls of unknown ones are not looked for.
        machine: ask also whether this machine has what CI uses.
    """
    sources = read_all(root, project, tools)
    found = [*sources.problems, *(finding for rule in RULES for finding in rule(sources))]
    if tasks:
        found += tasks_that_do_not_exist(sources, tasks)
    if machine:
        found += programs_missing_here(sources)
    found = [finding for finding in dict.fromkeys(found) if not is_ignored(root, finding)]
    return sorted(found, key=lambda finding: (finding.file, finding.line, finding.code))


def is_ignored(root: Path, finding: Diagnosis) -> bool:
    """Whether a comment on the finding's line, or on the one above, accepts it."""
    if not finding.file or not finding.line:
        return False
    try:
        lines = (root / finding.file).read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    near = lines[max(0, finding.line - 2) : finding.line]
    # A comment at the end of the line above speaks of that line.
    texts = [text for text in near[:-1] if text.lstrip().startswith("#")] + near[-1:]
    codes = [code.strip() for text in texts for match in _IGNORE.finditer(text) for code in match[1].split(",")]
    return finding.code in codes
