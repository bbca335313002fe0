"""``.pre-commit-config.yaml``: which hooks there are, from where, and what they run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from handrail.parity.workflows import Text
from handrail.parity.yaml_lines import read_yaml

FILE = ".pre-commit-config.yaml"


@dataclass(frozen=True)
class Hook:
    """One hook; ``entry`` is what a local one runs."""

    id: str
    line: int
    entry: str = ""
    language: str = ""
    dependencies: tuple[Text, ...] = ()
    stages: tuple[str, ...] = ()
    """When it runs; empty: with each commit."""


@dataclass(frozen=True)
class Repository:
    """One ``repo:`` of the file; ``frozen`` is the version that a comment behind a commit's SHA names."""

    url: str
    rev: Text | None
    hooks: tuple[Hook, ...]
    frozen: str = ""

    @property
    def is_local(self) -> bool:
        return self.url in ("local", "meta")


def read_hooks(root: Path) -> list[Repository]:
    """Return the repositories of hooks; none where there is no such file.

    Raises:
        ConfigError: it is not YAML.
    """
    if not (root / FILE).is_file():
        return []
    document = read_yaml(root, FILE)
    lines = (root / FILE).read_text("utf-8").splitlines()
    repos = document.get("repos") if document else None
    found = []
    for item in repos.list() if repos else []:
        rev = item.get("rev")
        hooks = []
        listed = item.get("hooks")
        for hook in listed.list() if listed else []:
            wanted = hook.get("additional_dependencies")
            stages = hook.get("stages")
            hooks.append(
                Hook(
                    hook.word("id"),
                    hook.line,
                    hook.word("entry"),
                    hook.word("language"),
                    tuple(Text(each.text, each.line) for each in wanted.list()) if wanted else (),
                    tuple(each.text for each in stages.list()) if stages else (),
                )
            )
        _, _, frozen = lines[rev.line - 1].partition("frozen:") if rev else ("", "", "")
        found.append(
            Repository(item.word("repo"), Text(rev.text, rev.line) if rev else None, tuple(hooks), frozen.strip())
        )
    return found
