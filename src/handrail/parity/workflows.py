"""GitHub's workflows and the composite actions beside them, as far as they say what runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from handrail.errors import ConfigError
from handrail.parity.yaml_lines import Item, read_yaml

FOLDER = ".github/workflows"
# The runner puts a text in its place before a shell sees the line: its own operators are none of the shell's.
_EXPRESSION = re.compile(r"\$\{\{[^\n]*?\}\}")


@dataclass(frozen=True)
class Text:
    """A scalar and its line; ``is_number``: it stands there without quotes, as a number."""

    text: str
    line: int
    is_number: bool = False


@dataclass(frozen=True)
class Step:
    """One step; ``run`` and ``uses`` are empty where it has none."""

    file: str
    line: int
    run: str = ""
    run_line: int = 0
    """The line of the first line of ``run``."""
    uses: Text | None = None
    inputs: dict[str, Text] = field(default_factory=dict)
    """What stands below ``with``."""
    variables: dict[str, Text] = field(default_factory=dict)
    """What stands below ``env``."""
    is_shell: bool = True
    """Whether ``run`` is for a POSIX shell, and not for Python or PowerShell."""
    name: str = ""
    """As GitHub and act show it: what it is called, uses, or runs first."""

    def commands(self) -> Iterator[tuple[int, list[str]]]:
        """Yield line and words of each simple command in ``run``.

        Joined by ``&&``, ``||``, ``;`` and ``|`` are several; words that the shell would expand stay as they are. A
        line that cannot be split is one word.
        """
        number, pending, start = self.run_line, "", 0
        for text in _EXPRESSION.sub("${{…}}", self.run).splitlines():
            start = start if pending else number
            pending += text
            number += 1
            if pending.endswith("\\"):
                pending = pending[:-1] + " "
                continue
            yield from ((start, words) for words in split(pending))
            pending = ""
        if pending:
            yield from ((start, words) for words in split(pending))


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        matrix: the lists of its strategy by key, without what ``include`` adds.
        included: what ``include`` adds, by key.
        uses: a reusable workflow, where the job is a call of one.
        needs: the names of the jobs that come before it.
        labels: the machines that it runs on, one of the matrix's values each where the matrix says so.
    """

    name: str
    line: int
    steps: list[Step]
    matrix: dict[str, list[Text]] = field(default_factory=dict)
    included: dict[str, list[Text]] = field(default_factory=dict)
    uses: Text | None = None
    needs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def lists(self) -> dict[str, list[Text]]:
        """Every value that the matrix has by key."""
        keys = dict.fromkeys([*self.matrix, *self.included])
        return {key: [*self.matrix.get(key, ()), *self.included.get(key, ())] for key in keys}


@dataclass(frozen=True)
class Workflow:
    """One workflow file, or one composite action, which has no triggers and one job; ``jobs`` by their names."""

    file: str
    triggers: frozenset[str]
    jobs: dict[str, Job]
    variables: dict[str, Text] = field(default_factory=dict)

    @property
    def steps(self) -> Iterator[Step]:
        for job in self.jobs.values():
            yield from job.steps

    @property
    def is_check(self) -> bool:
        """Whether it runs for every change, before that is taken."""
        return bool(self.triggers & {"pull_request", "push", "merge_group", "pull_request_target"})


def workflow_files(root: Path) -> list[str]:
    """Return the workflow files and composite actions of the project, sorted."""
    found = [*(root / FOLDER).glob("*.yml"), *(root / FOLDER).glob("*.yaml")]
    found += [*(root / ".github").rglob("action.yml"), *(root / ".github").rglob("action.yaml")]
    found += [path for path in (root / "action.yml", root / "action.yaml") if path.is_file()]
    return sorted({path.relative_to(root).as_posix() for path in found})


def read_workflow(root: Path, name: str) -> Workflow:
    """Return one of them.

    Raises:
        ConfigError: it is not YAML, or a workflow without a table of jobs.
    """
    item = read_yaml(root, name)
    if not name.startswith(f"{FOLDER}/"):
        steps = item.get("runs", "steps") if item else None
        jobs = {name: Job(name, steps.line, _steps(steps, name, ""))} if steps else {}
        return Workflow(name, frozenset(), jobs)
    table = item.get("jobs") if item else None
    listed = list(table.items()) if table else []
    if item is None or not listed or not all(any(job.items()) for _, job in listed):
        raise ConfigError(f"{name}:1: expected a workflow with a table of jobs")
    shell = item.word("defaults", "run", "shell")
    found = {key.text: _job(key, job, name, shell) for key, job in listed}
    return Workflow(name, frozenset(_names(item.get("on"))), found, _texts(item.get("env")))


def split(line: str) -> Iterator[list[str]]:
    """Yield the words of each simple command of one shell line; none for a comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for token in lexer:
            if token and set(token) <= set("&|;()"):
                if words:
                    yield words
                words = []
            else:
                words.append(token)
    except ValueError:
        words = [line.strip()]
    if words:
        yield words


def _names(item: Item | None) -> tuple[str, ...]:
    """Return a word, a list of them, or the keys of a table as names."""
    if item is None:
        return ()
    if item.text:
        return (item.text,)
    return tuple([each.text for each in item.list()] or [key.text for key, _ in item.items()])


def _job(key: Item, job: Item, file: str, shell: str) -> Job:
    matrix = job.get("strategy", "matrix")
    lists: dict[str, list[Text]] = {}
    included: dict[str, list[Text]] = {}
    for name, values in matrix.items() if matrix else ():
        if name.text == "include":
            for entry in values.list():
                for inner, value in entry.items():
                    included.setdefault(inner.text, []).append(_text(value))
        elif name.text != "exclude" and values.list():
            lists[name.text] = [_text(value) for value in values.list()]
    steps = job.get("steps")
    uses = job.get("uses")
    # "runs-on" may be a table with the labels in it.
    labels = _names(job.get("runs-on", "labels") or job.get("runs-on"))
    for axis, texts in (*lists.items(), *included.items()):
        if any(f"matrix.{axis}" in label for label in labels):
            labels += tuple(text.text for text in texts)
    return Job(
        key.text,
        key.line,
        _steps(steps, file, job.word("defaults", "run", "shell") or shell) if steps else [],
        lists,
        included,
        Text(uses.text, uses.line) if uses else None,
        _names(job.get("needs")),
        labels,
    )


def _steps(steps: Item, file: str, shell: str) -> list[Step]:
    found = []
    for item in steps.list():
        run, uses = item.get("run"), item.get("uses")
        own = item.word("shell") or shell
        found.append(
            Step(
                file,
                item.line,
                run.text if run else "",
                run.line + run.is_block if run else 0,
                Text(uses.text, uses.line) if uses else None,
                _texts(item.get("with")),
                _texts(item.get("env")),
                own.split(" ")[0] in ("", "bash", "sh"),
                item.word("name") or (uses.text if uses else run.text.strip().split("\n")[0] if run else ""),
            )
        )
    return found


def _texts(item: Item | None) -> dict[str, Text]:
    return {key.text: _text(value) for key, value in item.items()} if item else {}


def _text(item: Item) -> Text:
    return Text(item.text, item.line, item.is_number)
