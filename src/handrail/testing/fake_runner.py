"""A `Runner` that starts nothing: it records what it was asked to run and answers from a script."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from handrail.commands import Result, Runner, failure, missing_program


@dataclass(frozen=True)
class Call:
    """One command that was asked for."""

    argv: list[str]
    cwd: Path | None
    env: Mapping[str, str] | None
    input: str | None


@dataclass(frozen=True)
class _Answer:
    words: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    missing: bool
    effect: Callable[[Call], object] | None

    def fits(self, argv: Sequence[str]) -> bool:
        """Return whether the program's name and the first words are ours."""
        names = [os.path.basename(argv[0]), *argv[1:]]  # noqa: PTH119 - a word of argv
        return tuple(names[: len(self.words)]) == self.words or tuple(argv[: len(self.words)]) == self.words


class FakeRunner(Runner):
    """Records commands in ``calls`` and answers as told by `answer`; anything else succeeds in silence."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._answers: list[_Answer] = []

    @property
    def commands(self) -> list[list[str]]:
        """The argv of each call, in order."""
        return [call.argv for call in self.calls]

    def answer(
        self,
        *words: str,
        stdout: str = "",
        stderr: str = "",
        returncode: int = 0,
        missing: bool = False,
        effect: Callable[[Call], object] | None = None,
    ) -> None:
        """Answer commands that start with ``words`` (the program by its base name); the latest answer that fits wins.

        Args:
            missing: behave as if the program were not installed.
            effect: called with the call before it is answered, such as to write the files the command would.
        """
        self._answers.append(_Answer(words, returncode, stdout, stderr, missing, effect))

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002
        check: bool = True,
        stream: Callable[[str], None] | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Record the command and answer as scripted, with the errors of the real runner."""
        words = [os.fspath(word) for word in argv]
        call = Call(words, None if cwd is None else Path(cwd), env, input)
        self.calls.append(call)
        found = next((answer for answer in reversed(self._answers) if answer.fits(words)), None)
        if found is None:
            return Result(words, 0)
        if found.missing:
            raise missing_program(words[0])
        if found.effect:
            found.effect(call)
        lines = [*found.stdout.splitlines(), *found.stderr.splitlines()]
        if stream:
            for line in lines:
                stream(line)
        if check and found.returncode != 0:
            raise failure(words, found.returncode, lines)
        return Result(words, found.returncode, found.stdout, found.stderr)
