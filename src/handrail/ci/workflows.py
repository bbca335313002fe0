"""What stands in ``.github/workflows``: jobs, their matrix, and the steps by the names that act prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handrail.errors import ConfigError

FOLDER = ".github/workflows"
# Started by a push or a pull request: what looks at a change. Others may deploy, and never run unasked.
_LOOKING = ("push", "pull_request")


@dataclass(frozen=True)
class Step:
    """One step: ``name`` as it is shown, and the action that it ``uses``, if any."""

    name: str
    uses: str = ""


@dataclass(frozen=True)
class Job:
    """One job; ``matrix`` has the declared values of each axis, ``labels`` the machines that it runs on."""

    id: str
    labels: tuple[str, ...]
    needs: tuple[str, ...]
    matrix: Mapping[str, tuple[str, ...]]
    steps: tuple[Step, ...]
    workflow_call: str = ""
    """The reusable workflow that stands in place of steps."""


@dataclass(frozen=True)
class Workflow:
    """One file; ``path`` is relative to the project."""

    path: str
    events: tuple[str, ...]
    jobs: Mapping[str, Job]

    @property
    def event(self) -> str:
        """The event with which it runs here; ``""``: it is started in another way, such as by hand."""
        return next((event for event in _LOOKING if event in self.events), "")

    def with_needs(self, job: str) -> list[Job]:
        """Return ``job`` after all that it needs, directly or not."""
        found: dict[str, Job] = {}

        def visit(name: str) -> None:
            if name in self.jobs and name not in found:
                for needed in self.jobs[name].needs:
                    visit(needed)
                found[name] = self.jobs[name]

        visit(job)
        return list(found.values())


def read_workflows(root: Path) -> list[Workflow]:
    """Return the workflows of the project in ``root``, by file name.

    Raises:
        ConfigError: one is no YAML, or has no jobs.
    """
    folder = root / FOLDER
    return [_read(path, root) for path in sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")])]


def _read(path: Path, root: Path) -> Workflow:
    import yaml

    name = str(path.relative_to(root))
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}:{line}: {error.problem or 'no YAML'}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{name}:1: cannot be read: {' '.join(str(error).split())}") from None
    jobs = document.get("jobs") if isinstance(document, dict) else None
    if not isinstance(jobs, dict) or not all(isinstance(job, dict) for job in jobs.values()):
        raise ConfigError(f"{name}:1: expected a workflow with a table of jobs")
    # YAML 1.1 takes the bare word "on" for true.
    events = document.get("on", document.get(True))
    return Workflow(name, _names(events), {str(key): _job(str(key), job) for key, job in jobs.items()})


def _job(key: str, job: Mapping[str, Any]) -> Job:
    strategy = job.get("strategy")
    declared = strategy.get("matrix") if isinstance(strategy, dict) else None
    matrix = {
        str(axis): tuple(str(value) for value in values)
        for axis, values in (declared.items() if isinstance(declared, dict) else ())
        if isinstance(values, list) and axis not in ("include", "exclude")
    }
    labels = _names(job.get("runs-on"))
    for axis, values in matrix.items():
        if any(f"matrix.{axis}" in label for label in labels):
            labels += values
    steps = tuple(_step(step) for step in job.get("steps") or () if isinstance(step, dict))
    return Job(key, labels, _names(job.get("needs")), matrix, steps, str(job.get("uses") or ""))


def _step(step: Mapping[str, Any]) -> Step:
    uses = str(step.get("uses") or "")
    run = str(step.get("run") or "").strip().split("\n")[0]
    return Step(str(step.get("name") or uses or run), uses)


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, dict):
        # "runs-on" may be a table with the labels in it.
        return _names(value["labels"]) if "labels" in value else tuple(str(key) for key in value)
    return tuple(str(each) for each in value) if isinstance(value, list) else ()
