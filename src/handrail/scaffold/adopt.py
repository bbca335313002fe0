"""``handrail init``, step by step: look, ask, plan, check the plan, show it, write it, lock."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.errors import ConfigError, TaskFailedError, UsageError
from handrail.scaffold import blocks
from handrail.scaffold.apply import write_changes
from handrail.scaffold.drift import find_drift
from handrail.scaffold.ledger import FILE, Ledger, ledger_text, read_ledger
from handrail.scaffold.plan import Change, Plan, plan_drafts, present

if TYPE_CHECKING:
    from handrail.commands import Runner
    from handrail.config.schema import Project
    from handrail.scaffold.write.choices import Choices
    from handrail.ui import Printer


_KEEP = (
    f'to keep your change: owner = "yours" in {FILE}; '
    "to take it back: delete the file or block, then handrail init --update"
)


@dataclass(frozen=True)
class Wishes:
    """What was asked for.

    Attributes:
        yes: ask nothing.
        source: where Handrail comes from; empty: the package index.
        plan: show what would be written, and end.
        lock: bring uv.lock up to date afterwards.
    """

    yes: bool = False
    source: str = ""
    plan: bool = False
    lock: bool = True


def refuse_windows(platform: str = sys.platform) -> None:
    """Raise UsageError on Windows."""
    if platform.startswith(("win32", "cygwin")):
        raise UsageError(
            "handrail init is not supported on Windows: Handrail needs Linux or macOS",
            next_step="use WSL: https://learn.microsoft.com/windows/wsl/install, and run it there",
        )


def adopt(root: Path, wishes: Wishes, runner: Runner, printer: Printer) -> dict[str, Any]:
    """Make the repository in ``root`` one of Handrail's; return what was done as a document.

    Raises:
        UsageError: there is nobody to ask, and ``yes`` was not said; or the answer was no.
        ConfigError: what is there cannot be read, or what would be written would not be valid.
        TaskFailedError: a file could not be written (nothing was changed), or uv could not lock (all was written).
    """
    from handrail.scaffold.detect.repository import look_at
    from handrail.scaffold.questions import ask_for_the_rest
    from handrail.scaffold.report import show_facts, show_next
    from handrail.scaffold.write.choices import choose
    from handrail.scaffold.write.entry_files import NOXFILE, TASKS

    ledger = read_ledger(root)
    facts, others = look_at(root)
    show_facts(facts, printer)
    _need_somebody(wishes, printer)
    if not wishes.plan:
        _need_repository(root)
    declared = _declared(root)
    quiet = wishes.yes or wishes.plan or declared is not None
    facts, app, health = ask_for_the_rest(facts, others, printer, yes=quiet)
    source = resolved_source(wishes.source, root)
    choices = choose(facts, ledger, app=app, health=health, source=source, project=declared)
    plan = make_plan(root, choices, ledger)
    show_plan(plan, printer, whole=wishes.plan)
    document = {"command": "init", "written": [change.path for change in plan.changes], "notes": plan.notes}
    if wishes.plan:
        return {**document, "written": [], "planned": document["written"]}
    if plan.changes and not wishes.yes and not _agreed(len(plan.changes), printer):
        raise UsageError("nothing was written", next_step="handrail init --plan shows it again")
    write_changes(root, plan.changes)
    if plan.changes:
        printer.success(f"{len(plan.changes)} files written; they are shown by git status")
    else:
        printer.success("everything is there already; nothing was changed")
    if wishes.lock:
        lock(root, runner, printer)
    show_next(
        choices, printer, edits=[name for name in (TASKS, NOXFILE) if any(note.startswith(name) for note in plan.notes)]
    )
    return document


def _declared(root: Path) -> Project | None:
    """Return what ``[tool.handrail]`` declares already; None where there is no such table."""
    from handrail.build.package import read_pyproject
    from handrail.config.load import load_project

    tool = read_pyproject(root).get("tool")
    return load_project(root) if isinstance(tool, dict) and "handrail" in tool else None


def make_plan(root: Path, choices: Choices, ledger: Ledger) -> Plan:
    """Return all changes, the ledger's own last.

    Raises:
        ConfigError: the result would not be a valid project.
    """
    from handrail import __version__
    from handrail.scaffold.ledger import Record
    from handrail.scaffold.write.files import drafts
    from handrail.scaffold.write.ignored import FILE as GITIGNORE
    from handrail.scaffold.write.pyproject import FILE as PYPROJECT
    from handrail.scaffold.write.pyproject import merged_pyproject

    before = present(root, PYPROJECT)
    after = merged_pyproject(before or "", choices)
    gitignore = blocks.without_block(present(root, GITIGNORE) or "")
    plan = plan_drafts(root, drafts(choices, gitignore), dict(ledger.files))
    if after != before:
        plan.changes.insert(0, Change(PYPROJECT, before, after))
    plan.records.setdefault(PYPROJECT, Record("seeded" if before is None else "yours"))
    if choices.facts.has_project_table and not choices.facts.has_requires_python:
        plan.notes.append(
            f"{PYPROJECT} has no requires-python: uv locks for the Python here and newer ones alone; "
            f'add to [project]: requires-python = ">={choices.facts.pythons[0]}"'
        )
    _check(after, plan)
    strict = merged_pyproject(before or "", replace(choices, parity="error"))
    # The versions of hooks that were there before are compared with a lock that is not there yet.
    if strict != after and not choices.facts.existing.hooks and _is_in_parity(root, plan):
        plan.changes[0] = Change(PYPROJECT, before, strict)
    kept = {"branch": choices.branch, "ci": choices.ci, "deploy": choices.deploy}
    text = ledger_text(Ledger(ledger.version or __version__, dict(ledger.choices) or kept, plan.records))
    if text != present(root, FILE):
        plan.changes.append(Change(FILE, present(root, FILE), text))
    return plan


def check(root: Path, printer: Printer) -> dict[str, Any]:
    """Report drift; return it as a document.

    Raises:
        TaskFailedError: there is some.
    """
    drift = find_drift(root)
    document: dict[str, object] = {"command": "init", "behind": drift.behind, "by_hand": drift.by_hand}
    for sentence in (*drift.behind, *drift.by_hand):
        printer.warn(sentence)
    if drift.is_clean:
        printer.success("what handrail init wrote is as it should be")
        return document
    count = len(drift.behind) + len(drift.by_hand)
    error = TaskFailedError(
        f"{count} {'part has' if count == 1 else 'parts have'} drifted from what handrail init writes",
        next_step="handrail init --update" if drift.behind else _KEEP,
    )
    error.document = document
    raise error


def update(root: Path, printer: Printer, *, plan: bool = False) -> dict[str, Any]:
    """Bring the managed parts up to date; return what was done as a document.

    Args:
        plan: show what would be written, and end.

    Raises:
        TaskFailedError: a file could not be written; nothing was changed.
    """
    drift = find_drift(root)
    if drift.changes:
        text = ledger_text(drift.ledger)
        drift.changes.append(Change(FILE, present(root, FILE), text))
    for change in drift.changes[:-1]:
        _show(change, printer)
    if not plan:
        write_changes(root, drift.changes)
    for sentence in drift.by_hand:
        printer.warn(f"left alone: {sentence}")
    if drift.by_hand:
        printer.info(_KEEP)
    paths = [change.path for change in drift.changes]
    document: dict[str, Any] = {"command": "init", "written": paths, "by_hand": drift.by_hand}
    if plan:
        if not paths:
            printer.info("there is nothing to update")
        return {**document, "written": [], "planned": paths}
    printer.success(f"updated {', '.join(paths[:-1])}" if paths else "nothing to update")
    return document


def show_plan(plan: Plan, printer: Printer, *, whole: bool) -> None:
    """Show the diff of every file, then what stays as it is.

    Args:
        whole: also the text of new files that stay Handrail's, which nobody has to know by heart.
    """
    for change in plan.changes:
        record = plan.records.get(change.path)
        if whole or change.before is not None or (record is not None and record.owner not in ("managed", "block")):
            _show(change, printer)
        else:
            size = len(change.after.splitlines())
            printer.info(f"new  {change.path} ({size} lines; handrail init --plan shows them)")
    for note in plan.notes:
        printer.warn(note)


def lock(root: Path, runner: Runner, printer: Printer) -> None:
    """Bring uv.lock up to date with what was written.

    Raises:
        TaskFailedError: uv could not.
    """
    from handrail.build.tools import clean_environment, find_uv

    printer.info("uv locks the packages …")
    try:
        runner.run([find_uv(), "lock", "--quiet"], cwd=root, env=clean_environment())
    except TaskFailedError as error:
        raise TaskFailedError(
            "all files were written, but uv could not lock the packages",
            command=error.command,
            returncode=error.returncode,
            lines=error.lines,
            next_step=_lock_advice(root),
        ) from None


def _lock_advice(root: Path) -> str:
    named = (
        (root / ".python-version").read_text("utf-8", "replace").strip() if (root / ".python-version").is_file() else ""
    )
    if named and not named[0].isdigit():
        return (
            f".python-version says {named!r}, which uv takes for a Python; write a version such as 3.12, then: uv lock"
        )
    return "mend what uv names (or go online), then: uv lock"


def resolved_source(source: str, root: Path) -> str:
    """Return a source as a requirement line may have it: a path becomes a file URL.

    Raises:
        UsageError: it is a path, and nothing is there.
    """
    if not source or "://" in source:
        return source
    path = Path(source).expanduser()
    path = path if path.is_absolute() else (Path.cwd() / path)
    if not path.exists():
        raise UsageError(
            f"--from {source}: there is no such file or folder", next_step="name a wheel, a folder or a URL"
        )
    return path.resolve().as_uri()


def _need_somebody(wishes: Wishes, printer: Printer) -> None:
    if not wishes.yes and not wishes.plan and not printer.can_ask():
        raise UsageError(
            "there is no terminal to ask on",
            next_step="handrail init --yes asks nothing; --plan only shows what it would do",
        )


def _need_repository(root: Path) -> None:
    """Refuse a folder that is no repository's top: git, GitHub and pre-commit look nowhere else.

    Raises:
        UsageError: says where the top is.
    """
    from handrail.build.git import find_repository

    here = root.resolve()
    top = find_repository(root)
    if top == here:
        return
    if top is None:
        raise UsageError(
            f"{here.name} is no git repository, and what is built and deployed is what git knows",
            next_step="git init, then handrail init",
        )
    inside = here.relative_to(top)
    is_project_there = any((top / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg"))
    raise UsageError(
        f"{inside} is a folder of the repository {top}: hooks and workflows work at its top alone",
        next_step=f"cd {top}, then handrail init"
        if is_project_there
        else f"give it a repository of its own, with its history: cd {top} && git subtree split --prefix={inside} "
        f"--branch={inside.name}, clone that branch, then handrail init",
    )


def _agreed(count: int, printer: Printer) -> bool:
    return printer.ask(f"Write these {count} files? (yes/no)", "yes").lower() in ("y", "yes")


def _show(change: Change, printer: Printer) -> None:
    with printer.section(f"{'new' if change.before is None else 'changed'}  {change.path}"):
        for line in change.diff()[2:]:
            printer.output(line)


def _check(pyproject: str, plan: Plan) -> None:
    """Refuse a plan whose result Handrail itself would not accept."""
    import tempfile

    from handrail.config.contract import FILE as CONTRACT
    from handrail.config.contract import parse_contract
    from handrail.config.load import load_project

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text(pyproject, "utf-8")
        try:
            load_project(Path(folder))
            for change in plan.changes:
                if change.path == CONTRACT:
                    parse_contract(change.after)
        except ConfigError as error:
            error.next_step = error.next_step or "nothing was written; correct it, then run handrail init again"
            raise


def _is_in_parity(root: Path, plan: Plan) -> bool:
    """Return whether laptop, hooks and CI will do the same after the plan."""
    import shutil
    import tempfile

    from handrail.checks.drift import check_tools
    from handrail.checks.lint import WORKFLOWS
    from handrail.config.load import load_project
    from handrail.parity.look import look

    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        try:
            for name in (".github", "noxfile.py"):
                if (root / name).is_dir():
                    shutil.copytree(root / name, there / name, ignore_dangling_symlinks=True)
                elif (root / name).is_file():
                    shutil.copy(root / name, there / name)
        except OSError:
            return False  # what cannot be read cannot be compared
        (there / WORKFLOWS).mkdir(parents=True, exist_ok=True)
        write_changes(there, plan.changes)
        project = load_project(there)
        return not any(each.level == "error" for each in look(there, project, check_tools(there, project)))
