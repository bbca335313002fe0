"""Rule: one list of Pythons, that of ``[tool.handrail.checks]``, whoever else has a list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from handrail.config.load import FILE as PYPROJECT
from handrail.diagnosis import Diagnosis, Replacement
from handrail.parity import sessions

if TYPE_CHECKING:
    from handrail.parity.sources import Sources
    from handrail.parity.workflows import Text

_MINOR = re.compile(r"3\.[0-9]+")
_KEYS = re.compile(r"(?:python|py)(?:[-_]?versions?)?", re.IGNORECASE)


def lists_that_differ(sources: Sources) -> Iterator[Diagnosis]:
    """Yield each list of Pythons that is not the one on which the tests run, and each single one outside of it."""
    declared = sources.declared
    known = list(sources.project.checks.pythons)
    place = f"{PYPROJECT}:{declared.matrix[0].line}" if declared.matrix else "the default of [tool.handrail.checks]"
    said = f"the tests run on {', '.join(known)} ({place})"
    for what, file, line, versions in _lists(sources):
        if set(versions) == set(known):
            continue
        yield Diagnosis(
            "pythons-differ",
            "error",
            f"{what} {', '.join(versions)}; {said}: {_difference(versions, known)}",
            file,
            line,
            mend="change this list, or pythons in [tool.handrail.checks]",
        )
    for workflow in sources.workflows:
        for step in workflow.steps:
            single = step.inputs.get("python-version")
            if single and _MINOR.fullmatch(single.text) and single.text not in known:
                yield Diagnosis(
                    "pythons-differ",
                    "error",
                    f"this step takes Python {single.text}; {said}",
                    step.file,
                    single.line,
                    mend="take one of the list, or add it to pythons in [tool.handrail.checks]",
                )
    yield from _numbers(sources)
    yield from _against_requires_python(sources, known, said)


def _lists(sources: Sources) -> Iterator[tuple[str, str, int, list[str]]]:
    classifiers = sources.declared.classifiers
    if classifiers:
        yield "the classifiers say", PYPROJECT, classifiers[0].line, [each.text for each in classifiers]
    for line, words in sources.sessions.pythons.items():
        yield "the Nox sessions run on", sessions.FILE, line, [word for word in words if _MINOR.fullmatch(word)]
    for workflow in sources.workflows:
        for job in workflow.jobs.values():
            for key, values in job.lists.items():
                versions = _minors(values)
                # A list with an expression or a path in it is somebody else's business.
                if _KEYS.fullmatch(key) and versions:
                    yield f"the matrix of job {job.name} has", workflow.file, values[0].line, versions


def _numbers(sources: Sources) -> Iterator[Diagnosis]:
    """Yield each version whose last zero is lost, because to YAML it is a number."""
    for workflow in sources.workflows:
        lists = [values for job in workflow.jobs.values() for key, values in job.lists.items() if _KEYS.fullmatch(key)]
        singles = [[each] for step in workflow.steps if (each := step.inputs.get("python-version"))]
        for value in (value for values in [*lists, *singles] for value in values):
            if value.is_number and value.text.endswith("0") and _MINOR.fullmatch(value.text):
                number = f"{float(value.text):g}"
                yield Diagnosis(
                    "pythons-differ",
                    "error",
                    f"{value.text} without quotes is the number {number}: CI takes Python {number}",
                    workflow.file,
                    value.line,
                    mend=f'write "{value.text}"',
                    repair=Replacement(workflow.file, value.line, value.text, f'"{value.text}"'),
                )


def _minors(values: Sequence[Text]) -> list[str]:
    """Return the released minor versions; ``3.14-dev``, ``3.13t`` and ``pypy3.10`` run beside the list."""
    return list(dict.fromkeys(value.text for value in values if _MINOR.fullmatch(value.text)))


def _difference(here: Sequence[str], known: Sequence[str]) -> str:
    missing = [version for version in known if version not in here]
    more = [version for version in here if version not in known]
    parts = [f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing here"] if missing else []
    parts += [f"{', '.join(more)} {'is' if len(more) == 1 else 'are'} not tested"] if more else []
    return ", ".join(parts)


def _against_requires_python(sources: Sources, known: Sequence[str], said: str) -> Iterator[Diagnosis]:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    text = sources.declared.requires_python
    if not text.text:
        return
    try:
        allowed = SpecifierSet(text.text)
    except InvalidSpecifier:
        return

    def allows(minor: str) -> bool:
        # "<=3.12" leaves 3.12.0 alone, ">=3.10.4" the later ones.
        return any(allowed.contains(f"{minor}.{patch}") for patch in (0, 99))

    refused = [version for version in known if not allows(version)]
    lowest = next((minor for number in range(30) if allows(minor := f"3.{number}")), "")
    mend = "change requires-python, or pythons in [tool.handrail.checks]"
    if refused:
        message = f"requires-python {text.text} refuses {', '.join(refused)}; {said}"
        yield Diagnosis("pythons-differ", "error", message, PYPROJECT, text.line, mend=mend)
    if lowest and lowest not in known and ">" in text.text:
        message = f"requires-python {text.text} promises Python {lowest}, which is not tested; {said}"
        yield Diagnosis("pythons-differ", "error", message, PYPROJECT, text.line, mend=mend)
    for tool, key, given in (
        ("ruff", "target-version", sources.declared.ruff_target),
        ("mypy", "python_version", sources.declared.mypy_python),
    ):
        version = re.sub(r"\Apy3", "3.", given.text)
        if version and lowest and ">" in text.text and version != lowest:
            yield Diagnosis(
                "python-floor-differs",
                "warning",
                f"[tool.{tool}] looks at the code as Python {version}, and requires-python begins at {lowest}",
                PYPROJECT,
                given.line,
                mend=f"set {key} to the lowest Python, or leave it out",
            )
