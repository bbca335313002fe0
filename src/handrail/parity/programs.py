"""Rule: what CI calls or installs is on this machine too. The one rule whose answer depends on the machine."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.diagnosis import Diagnosis
from handrail.parity.words import bare, is_bootstrap, is_task, program

if TYPE_CHECKING:
    from handrail.parity.sources import Sources
    from handrail.parity.workflows import Step

_PAIR = re.compile(r"([A-Za-z0-9_.+-]+):([A-Za-z0-9_.+-]+)")
_SHELL_WORDS = frozenset({
    "if", "then", "else", "elif", "fi", "for", "do", "done", "while", "until", "case", "esac", "in", "function",
    "select", "{", "}", "[", "[[", "!", "test", "echo", "printf", "cd", "set", "unset", "export", "local", "read",
    "eval", "exit", "return", "trap", "wait", "shift", "source", ".", ":", "true", "false", "alias", "type",
    "ulimit", "umask",
})  # fmt: skip
_RUNNERS = frozenset({"uv", "uvx", "pipx", "poetry", "pdm", "hatch", "pipenv"})
_ACTIONS = {
    "actions/setup-node": "node",
    "actions/setup-go": "go",
    "actions/setup-java": "java",
    "ruby/setup-ruby": "ruby",
    "dtolnay/rust-toolchain": "cargo",
    "docker/setup-buildx-action": "docker",
    "docker/build-push-action": "docker",
    "docker/login-action": "docker",
    "hashicorp/setup-terraform": "terraform",
    "azure/setup-helm": "helm",
    "azure/setup-kubectl": "kubectl",
}


def programs_missing_here(sources: Sources, path: str | None = None) -> Iterator[Diagnosis]:
    """Yield each program that CI has and this machine lacks, once.

    Args:
        path: where to look, as ``PATH``; None: this process's, the environment's and the system's folders.
    """
    folders = path if path is not None else search_path()
    seen: set[str] = set()
    from_pip = set(_installed_by_pip(sources))
    for workflow in sources.workflows:
        for step in workflow.steps:
            for line, name, package in _programs(step):
                if name in seen:
                    continue
                seen.add(name)
                if shutil.which(name, path=folders) is None:
                    package = package or name
                    on_debian = f"on Debian: apt-get install {package}" if sys.platform == "linux" else ""
                    yield Diagnosis(
                        "ci-tool-missing",
                        "warning",
                        f"CI uses {name}, and it is not on this machine",
                        step.file,
                        line,
                        mend=f"uv tool install {name}" if name in from_pip else on_debian or f"install {package}",
                    )


def search_path() -> str:
    """Return this process's PATH with the environment's scripts and the system's own folders behind it."""
    more = [str(Path(sys.executable).parent), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *more])


def _installed_by_pip(sources: Sources) -> Iterator[str]:
    """Yield what the workflows install from a package index: Debian may not have it, or calls it otherwise."""
    for workflow in sources.workflows:
        for step in workflow.steps:
            for _, words in step.commands() if step.is_shell else ():
                left = bare(words)
                if program(left) in ("pip", "pip3", "pipx") and left[1:2] == ["install"]:
                    yield from (re.split(r"[\[=<>!~@;]", word)[0] for word in left[2:] if not word.startswith("-"))


def _programs(step: Step) -> Iterator[tuple[int, str, str]]:
    """Yield line, program and Debian package ("" where it is not said) of what a step needs."""
    if step.uses:
        name = _ACTIONS.get(step.uses.text.partition("@")[0])
        if name:
            yield step.uses.line, name, ""
    for line, words in step.commands() if step.is_shell else ():
        left = bare(words)
        if "--debian" in words:
            for name, package in _PAIR.findall(" ".join(words[words.index("--debian") + 1 :])):
                yield line, name, package
        elif left and not is_task(words) and not is_bootstrap(words):
            # What uv or its like runs, it also fetches.
            first = program([word for word in words if "=" not in word][:1])
            name = first if first in _RUNNERS else program(left)
            if re.fullmatch(r"[A-Za-z0-9_.+-]+", name) and name not in _SHELL_WORDS and "/" not in left[0]:
                yield line, name, ""
