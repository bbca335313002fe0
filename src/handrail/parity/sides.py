"""Rule: what one of hooks, ``inv check`` and CI checks, the others check too.

Hooks need not do everything (types, tests and builds are too slow for a commit), but what they check, ``inv check``
and with it CI must check as well; and the quick checks of ``inv lint`` belong into the hooks, where there are hooks.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from handrail.config.load import FILE as PYPROJECT
from handrail.diagnosis import Diagnosis
from handrail.parity import hooks
from handrail.parity.words import bare, check_tool, program, tasks_in

if TYPE_CHECKING:
    from handrail.parity.hooks import Hook
    from handrail.parity.sources import Sources
    from handrail.parity.workflows import Workflow

PARTS = ("lint", "typecheck", "build", "test")
"""What ``inv check`` always does, by the task that does it alone."""
_SESSIONS = {"tests": "test", "lint": "lint", "typecheck": "typecheck"}
_SLOW = frozenset({"mypy", "pytest"})
# Tools that judge a commit; anything else in a workflow may have another purpose.
_CHECKERS = frozenset({
    "ruff", "black", "isort", "flake8", "pylint", "pyflakes", "pycodestyle", "pydocstyle", "autopep8", "yapf",
    "blue", "mypy", "pyright", "pyre", "pytype", "basedpyright", "ty", "bandit", "safety", "pip-audit", "semgrep",
    "codespell", "typos", "vulture", "radon", "xenon", "interrogate", "deptry", "pytest", "tox", "coverage",
    "lint-imports", "zizmor", "actionlint", "yamllint", "shellcheck", "hadolint", "djlint", "curlylint", "sqlfluff",
    "refurb", "pyupgrade", "twine", "check-manifest", "pyroma", "validate-pyproject", "towncrier", "reuse",
    "licensecheck",
})  # fmt: skip
# Of hooks that only make sense at a commit.
_ONLY_AT_COMMIT = frozenset({"no-commit-to-branch", "commitizen", "commitlint", "gitlint", "identity"})
_OTHER_STAGES = frozenset({"manual", "commit-msg", "prepare-commit-msg", "post-checkout", "post-merge", "post-commit"})


def checks_on_one_side(sources: Sources) -> Iterator[Diagnosis]:
    """Yield each check that not all of those run that should."""
    yield from _only_in_hooks(sources)
    yield from _not_in_hooks(sources)
    yield from _not_in_ci(sources)
    yield from _only_in_ci(sources)


def _only_in_hooks(sources: Sources) -> Iterator[Diagnosis]:
    if "pre-commit" in sources.tools or "prek" in sources.tools:
        return
    for repository in sources.hooks:
        for hook in repository.hooks if repository.url != "meta" else ():
            tool = tool_of(hook)
            if tool in sources.tools or hook.id in _ONLY_AT_COMMIT or _OTHER_STAGES & set(hook.stages):
                continue
            yield Diagnosis(
                "check-only-in-hooks",
                "warning",
                f"the hook {hook.id} checks what neither inv check nor CI does: without hooks nobody notices",
                hooks.FILE,
                hook.line,
                mend='let inv check run them; in [tool.handrail.checks.extra]: hooks = "pre-commit run --all-files"',
            )


def _not_in_hooks(sources: Sources) -> Iterator[Diagnosis]:
    present = {tool_of(hook) for repository in sources.hooks for hook in repository.hooks}
    if not present or {"inv", "invoke", "handrail"} & present:
        return
    extra = {check_tool(_words(text.text)) for text in sources.declared.extra_checks.values()}
    for tool in sources.tools:
        if tool not in present | extra | _SLOW:
            yield Diagnosis(
                "check-not-in-hooks",
                "warning",
                f"{tool} is a part of inv lint and no hook: a commit can be red that its hooks have passed",
                hooks.FILE,
                1,
                mend=f"add a local hook: entry: .venv/bin/{tool}, language: system",
            )


def _not_in_ci(sources: Sources) -> Iterator[Diagnosis]:
    workflows = [workflow for workflow in sources.workflows if workflow.is_check]
    if not workflows:
        return
    done = {task for workflow in workflows for task in _tasks(workflow)}
    if "check" in done:
        return
    if not done:
        yield Diagnosis(
            "check-not-in-ci",
            "error",
            "no workflow that runs for each change calls a task: CI proves something else than inv check",
            workflows[0].file,
            1,
            mend="call inv check, or its parts in jobs of their own: inv lint, typecheck, build and test --all",
        )
        return
    for part in PARTS:
        if part not in done:
            yield Diagnosis(
                "check-not-in-ci",
                "error",
                f"inv check does {part}, and no workflow that runs for each change calls inv {part}",
                workflows[0].file,
                1,
                mend=f"add a step: run: .venv/bin/inv {part}",
            )
    called = {check_tool(words) for workflow in workflows for step in workflow.steps for _, words in step.commands()}
    for name, text in sources.declared.extra_checks.items():
        if name not in done and check_tool(_words(text.text)) not in called:
            yield Diagnosis(
                "check-not-in-ci",
                "error",
                f"inv check runs {name} (`{text.text}`), and no workflow that runs for each change does",
                PYPROJECT,
                text.line,
                mend="let a job call inv check: it runs the further checks too",
            )


def _only_in_ci(sources: Sources) -> Iterator[Diagnosis]:
    for workflow in sources.workflows:
        if not workflow.is_check and workflow.triggers:
            continue
        for step in workflow.steps:
            for line, words in step.commands() if step.is_shell else ():
                tool = check_tool(words)
                if tool.split(" ")[0] in _CHECKERS and tool not in sources.tools:
                    yield Diagnosis(
                        "check-only-in-ci",
                        "warning",
                        f"{tool} runs in CI, and inv check does not run it: a laptop is green where CI is red",
                        step.file,
                        line,
                        mend="add it to [tool.handrail.checks.extra], and let CI call inv check",
                    )


def tool_of(hook: Hook) -> str:
    """Return the tool that a hook runs, as `check_tool` calls it."""
    if hook.entry and hook.language in ("system", "unsupported", "python", ""):
        return check_tool(_words(hook.entry))
    return {"ruff": "ruff check", "ruff-check": "ruff check", "ruff-format": "ruff format"}.get(hook.id, hook.id)


def _tasks(workflow: Workflow) -> Iterator[str]:
    for step in workflow.steps:
        for _, words in step.commands() if step.is_shell else ():
            found = tasks_in(words, (*PARTS, "check"))
            # Only judges what other jobs have done.
            yield from (task for task in found if task != "check" or "--ci-results" not in words)
            left = bare(words)
            if program(left) == "nox":
                yield from (part for word in left[1:] for name, part in _SESSIONS.items() if word.startswith(name))


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
