"""The noxfile, read without running it: the Pythons of its sessions, and what it installs by version."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

from handrail.config.load import read_text
from handrail.errors import ConfigError
from handrail.parity.workflows import Text

FILE = "noxfile.py"


@dataclass(frozen=True)
class Sessions:
    """``pythons`` by the line of the list; ``installs`` the words that sessions install.

    ``registers`` says that Handrail's own sessions are used, whose Pythons are those of ``[tool.handrail.checks]``.
    """

    pythons: dict[int, tuple[str, ...]] = field(default_factory=dict)
    installs: tuple[Text, ...] = ()
    registers: bool = False


def read_sessions(root: Path) -> Sessions:
    """Return what noxfile.py declares; nothing where there is none.

    Raises:
        ConfigError: Python cannot read it.
    """
    if not (root / FILE).is_file():
        return Sessions()
    try:
        tree = ast.parse(read_text(root, FILE))
    except SyntaxError as error:
        raise ConfigError(f"{FILE}:{error.lineno or 1}: not valid Python: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{FILE}:1: not valid Python: {error}") from None
    constants: dict[str, tuple[int, tuple[str, ...]]] = {}
    for statement in tree.body:
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and (words := _words(statement.value)):
            goals = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            constants.update({goal.id: (statement.lineno, words) for goal in goals if isinstance(goal, ast.Name)})
    pythons: dict[int, tuple[str, ...]] = {}
    installs: list[Text] = []
    registers = False
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        registers = registers or called in ("handrail.sessions.register", "sessions.register", "register")
        if called.endswith(("nox.session", "nox_uv.session", "nox_poetry.session")) or called == "session":
            for word in node.keywords:
                if word.arg not in ("python", "py"):
                    continue
                if isinstance(word.value, ast.Name):
                    line, words = constants.get(word.value.id, (0, ()))
                else:
                    line, words = word.value.lineno, _words(word.value)
                if len(words) > 1:
                    pythons[line] = words
        elif called in ("session.install", "session.run", "session.run_always", "session.run_install"):
            installs += [
                Text(part.value, part.lineno)
                for part in node.args
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            ]
    return Sessions(pythons, tuple(installs), registers)


def _words(node: ast.AST | None) -> tuple[str, ...]:
    if isinstance(node, (ast.List, ast.Tuple)):
        words = [item.value for item in node.elts if isinstance(item, ast.Constant)]
        if words and len(words) == len(node.elts) and all(isinstance(word, str) for word in words):
            return tuple(str(word) for word in words)
    return ()
