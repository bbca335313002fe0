"""Rules about the steps of a workflow: each is a task, and each action is one commit."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from handrail.diagnosis import Diagnosis
from handrail.errors import did_you_mean
from handrail.parity.words import bare, is_bootstrap, is_task, program

if TYPE_CHECKING:
    from handrail.parity.sources import Sources
    from handrail.parity.workflows import Step, Text

_COMMIT = re.compile(r"@[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")


def steps_that_are_no_task(sources: Sources) -> Iterator[Diagnosis]:
    """Yield each ``run:`` step with a command that is neither a task nor part of the bootstrap; once a step."""
    for workflow in sources.workflows:
        for step in workflow.steps:
            if step.run and (found := _own_command(step)):
                line, words = found
                yield Diagnosis(
                    "run-not-a-task",
                    "error",
                    f"`{_short(words)}` runs in CI only: it is no task, so nothing on a laptop repeats it",
                    step.file,
                    line,
                    mend="make it a task of tasks.py or a check of [tool.handrail.checks.extra], and call that",
                )


def tasks_that_do_not_exist(sources: Sources, known: Collection[str]) -> Iterator[Diagnosis]:
    """Yield each call of a task that the project does not have: CI will say so, after some minutes."""
    for workflow in sources.workflows:
        for step in workflow.steps:
            for line, words in step.commands() if step.is_shell else ():
                left = bare(words)
                called = next((word for word in left[1:] if not word.startswith("-")), "")
                # Behind an option of inv's own its value stands, and a variable is known to the runner alone.
                is_plain = left[1:2] == [called] and "$" not in called
                if program(left) in ("inv", "invoke") and is_plain and called not in known:
                    yield Diagnosis(
                        "task-unknown",
                        "error",
                        f"no task is called {called!r}{did_you_mean(called, known)}",
                        step.file,
                        line,
                        mend="inv --list shows the tasks",
                    )


def actions_that_are_not_pinned(sources: Sources) -> Iterator[Diagnosis]:
    """Yield each action that a tag or a branch names: whoever moves that changes what CI runs."""
    for file, uses in _uses(sources):
        reference = uses.text
        if reference.startswith("./"):
            continue
        if reference.startswith("docker://"):
            if "@sha256:" not in reference:
                yield Diagnosis(
                    "action-not-pinned",
                    "error",
                    f"{reference} is not pinned: its tag can be moved",
                    file,
                    uses.line,
                    mend=f"docker buildx imagetools inspect {reference[9:]} shows the digest to write: @sha256:…",
                )
        elif not _COMMIT.search(reference):
            name, _, version = reference.partition("@")
            repository = "/".join(name.split("/")[:2])
            tag = version or "HEAD"
            yield Diagnosis(
                "action-not-pinned",
                "error",
                f"{reference} is not pinned by commit: its {'tag' if version else 'newest state'} can be moved",
                file,
                uses.line,
                mend=f"git ls-remote https://github.com/{repository} {tag} shows the commit; "
                f"write {name}@<commit> # {tag}",
            )


def actions_of_two_versions(sources: Sources) -> Iterator[Diagnosis]:
    """Yield each place where an action has another version than where it is used most; of equals, first."""
    places: dict[str, dict[str, list[tuple[str, int]]]] = {}
    for file, uses in _uses(sources):
        name, _, version = uses.text.partition("@")
        if version and not name.startswith("docker:"):
            places.setdefault(name, {}).setdefault(version, []).append((file, uses.line))
    for name, versions in places.items():
        usual = max(versions, key=lambda version: len(versions[version]))
        known = f"{usual[:12]} at {versions[usual][0][0]}:{versions[usual][0][1]}"
        for version, found in versions.items():
            for file, line in found if version != usual else ():
                yield Diagnosis(
                    "action-versions-differ",
                    "warning",
                    f"{name} is {version[:12]} here and {known}",
                    file,
                    line,
                    mend="use one version in all workflows",
                )


def _uses(sources: Sources) -> Iterator[tuple[str, Text]]:
    for workflow in sources.workflows:
        for job in workflow.jobs.values():
            if job.uses:
                yield workflow.file, job.uses
            for step in job.steps:
                if step.uses:
                    yield workflow.file, step.uses


def _own_command(step: Step) -> tuple[int, list[str]] | None:
    if not step.is_shell:
        return step.run_line, step.run.strip().splitlines()[:1]
    for line, words in step.commands():
        if not is_task(words) and not is_bootstrap(words):
            return line, words
    return None


def _short(words: list[str]) -> str:
    text = words[0] if len(words) == 1 else shlex.join(words)
    return text if len(text) <= 60 else f"{text[:57]}…"
