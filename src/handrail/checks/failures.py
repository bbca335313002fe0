"""Which tests failed, and where: from JUnit XML, so that CI can show each beside its line."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from handrail.checks.verdict import Finding

# The runner shows ten annotations of a step; more would only hide the first ones.
MOST = 10
# A place as pytest prints it; one outside of the project begins with "/" or "..".
_PLACE = re.compile(r"^(?P<file>[^\s:/.][^:\n]*\.py):(?P<line>\d+): ", re.MULTILINE)


def read_failures(report: Path) -> tuple[Finding, ...]:
    """Return the first failed tests of a JUnit XML file, each where it failed; none where it cannot be read."""
    try:
        root = ElementTree.parse(report).getroot()  # noqa: S314
    except (OSError, ElementTree.ParseError):
        return ()
    found = []
    for case in root.iter("testcase"):
        for kind in ("failure", "error"):
            if (problem := case.find(kind)) is not None:
                found.append(_finding(str(case.get("name")), problem))
    return tuple(found[:MOST])


def _finding(name: str, problem: ElementTree.Element) -> Finding:
    text = problem.text or ""
    # The last place in the project is the nearest to what went wrong.
    places = list(_PLACE.finditer(text))
    said = (problem.get("message") or "").strip().split("\n")[0] or "failed"
    reasons = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    if said == "collection failure" and reasons:
        said = reasons[-1]
    if not places:
        return Finding(f"{name}: {said}")
    return Finding(f"{name}: {said}", places[-1]["file"], int(places[-1]["line"]))
