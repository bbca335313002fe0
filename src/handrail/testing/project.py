"""A small git project that deploys to test hosts through the same command line that a user types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from handrail.testing.host import Host, write_client_files

TASKS = "import handrail\n\nnamespace = handrail.collection()\n"
IGNORED = ".handrail/\nclient/\n*.secrets.env\n__pycache__/\n"
# Says that it was reached, and stays until the client that runs it is gone.
PAUSE = """\
import os
import pathlib
import signal
import sys
import time

signal.signal(signal.SIGINT, signal.SIG_DFL)
parent = os.getppid()
pathlib.Path(sys.argv[1]).touch()
while os.getppid() == parent and not pathlib.Path(sys.argv[1] + ".go").exists():
    time.sleep(0.02)
"""
# What CI and an outer tool run would tell the inner run about themselves.
_OUTER = (
    "CI",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_WORK_TREE",
    "FORCE_COLOR",
    "GITHUB_",
    "HANDRAIL_",
    "PYTEST_",
    "COV_",
    "COVERAGE_",
    "VIRTUAL_ENV",
    "INVOKE_",
    "NOX",
)


@dataclass(frozen=True)
class Finished:
    """A command line that has ended."""

    argv: list[str]
    returncode: int
    stdout: str
    stderr: str

    @cached_property
    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output; AssertionError where it is something else."""
        try:
            document: dict[str, Any] = json.loads(self.stdout)
        except ValueError:
            raise AssertionError(f"standard output is not one JSON document\n{self}") from None
        return document

    def __str__(self) -> str:
        return f"$ {' '.join(self.argv)}  → {self.returncode}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


class DeployProject:
    """A project folder with git, tasks.py and one environment, ``test``.

    Args:
        folder: made by this; must not exist or be empty.
        hosts: where ``test`` deploys to, in this order.
        tables: the parts of ``[tool.handrail]`` by name (``service``, ``build``, ``hooks``); the table ``test`` holds
            further keys of the environment.
        cache: a folder of built wheels that several projects share.
    """

    def __init__(
        self,
        folder: Path,
        app: str,
        hosts: Sequence[Host],
        tables: Mapping[str, Mapping[str, Any]],
        *,
        cache: Path | None = None,
    ) -> None:
        self.folder = folder
        self.app = app
        self.hosts = list(hosts)
        self.tables = {name: dict(table) for name, table in tables.items()}
        (folder / "client").mkdir(parents=True, exist_ok=True)
        if cache is not None:
            (folder / ".handrail").mkdir()
            (folder / ".handrail" / "cache").symlink_to(cache)
        write_client_files(folder / "client", self.hosts)
        self.write("tasks.py", TASKS)
        self.write(".gitignore", IGNORED)
        self.write("env/test.env", "")
        self.configure()
        self.git("init", "--quiet", "--initial-branch=main")

    def configure(self, **changes: Mapping[str, Any]) -> None:
        """Write pyproject.toml; ``changes`` are merged into the tables of the same names."""
        for name, table in changes.items():
            self.tables.setdefault(name, {}).update(table)
        environment = {
            "hosts": [host.name for host in self.hosts],
            "ssh_config": "client/ssh_config",
            "known_hosts": "client/known_hosts",
            **({"manager": self.hosts[0].manager} if self.hosts else {}),
            "reserve": 16,
            **self.tables.get("test", {}),
        }
        parts = [f'[tool.handrail]\napp = "{self.app}"\n', _table("tool.handrail.environments.test", environment)]
        parts += [_table(f"tool.handrail.{name}", table) for name, table in self.tables.items() if name != "test"]
        self.write("pyproject.toml", "\n".join(parts))

    def write(self, name: str, text: str) -> None:
        """Write one file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def pause_at(self, moment: str) -> Path:
        """Make the next deploys stop at a hook's moment; return the file that appears there."""
        mark = self.folder / "client" / f"paused-{moment}"
        mark.unlink(missing_ok=True)
        self.write("client/pause.py", PAUSE)
        self.configure(hooks={moment: [f"{sys.executable} client/pause.py {mark}"]})
        return mark

    def commit(self, message: str = "a change") -> str:
        """Commit everything that is not ignored; return the commit's full name."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD").strip()

    def git(self, *words: str) -> str:
        """Run git without the user's own settings; return its output."""
        who = {
            f"GIT_{role}_{what}": "test@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        environment = {**inner_environment(), **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", *words], cwd=self.folder, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start ``inv <words>`` in the project, in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "invoke", *words],
            cwd=self.folder,
            env={**inner_environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def inv(self, *words: str, env: Mapping[str, str] | None = None, timeout: float = 180) -> Finished:
        """Run ``inv <words>`` to its end."""
        return finish(self.start(*words, env=env), timeout)

    def deploy(self, *words: str, expect: int = 0) -> dict[str, Any]:
        """Deploy this checkout; return the document. AssertionError where it ends with another exit code."""
        return self._expect(self.inv("deploy", "--env", "test", "--yes", "--json", *words), expect)

    def rollback(self, *words: str, expect: int = 0) -> dict[str, Any]:
        """Roll back; return the document. AssertionError where it ends with another exit code."""
        return self._expect(self.inv("rollback", "--env", "test", "--yes", "--json", *words), expect)

    def status(self) -> dict[str, Any]:
        """Return the document of ``inv status``, whatever state it tells of."""
        return self.inv("status", "--env", "test", "--json").document

    def _expect(self, done: Finished, code: int) -> dict[str, Any]:
        assert done.returncode == code, f"expected exit code {code}\n{done}"
        return done.document


def finish(process: subprocess.Popen[str], timeout: float = 180) -> Finished:
    """Wait for a started command and collect what it said."""
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        stderr += f"\n(killed: it had not ended after {timeout:.0f} s)"
    argv = [str(word) for word in process.args] if isinstance(process.args, list) else [str(process.args)]
    return Finished(["inv", *argv[3:]], process.returncode, stdout, stderr)


def inner_environment(*further: str) -> dict[str, str]:
    """Return this process's variables without what they would tell an inner run of CI, pytest or uv about themselves.

    Args:
        further: beginnings of more names that are left out.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith((*_OUTER, *further))}


def _table(name: str, table: Mapping[str, Any]) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    # JSON's strings, numbers, booleans and lists are TOML's, too.
    return json.dumps(value, ensure_ascii=False)
