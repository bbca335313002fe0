"""The one place that starts local processes.

Everything else builds argv lists and hands them to a `Runner`; tests hand over `handrail.testing.FakeRunner`
instead. A command runs without a shell and in a session of its own, so it cannot ask the terminal for anything
and, when it is no longer wanted (timeout, Ctrl-C), it goes together with its children. How it ended is said in one
line: exit status or signal, never a bare number.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from handrail.config.secret import MASK
from handrail.errors import TaskFailedError, UsageError

LAST_LINES = 20
"""How many of a failed command's last lines its error carries."""

_STOP_SECONDS = 3.0
_GROUP_SECONDS = 0.5
_DRAIN_SECONDS = 2.0
_URL_USER = re.compile(r"(?<=://)([^\s/:@]+):[^\s/@]+@|(?<=https://)[^\s/:@]+@|(?<=http://)[^\s/:@]+@")

_GET = {
    "caddy": "it comes with the extra: `uv add --dev 'handrail[sandbox]'`",
    "docker": "install Docker Engine: https://docs.docker.com/engine/install/",
    "git": "install git: `apt install git`, `dnf install git` or `brew install git`",
    "nox": "run `inv setup`",
    "pre-commit": "run `inv setup`",
    "ssh": "install OpenSSH's client: `apt install openssh-client`",
    "uv": "install uv: `pip install uv`, or see https://docs.astral.sh/uv/",
}


@dataclass(frozen=True)
class Result:
    """How a command ended. A negative ``returncode`` is the number of the signal that ended it."""

    argv: list[str]
    returncode: int
    stdout: str = ""
    stderr: str = ""


class Runner:
    """Runs local commands.

    Args:
        echo: gets each command line before it runs, such as a printer's ``command``.
    """

    def __init__(self, echo: Callable[[str], None] | None = None) -> None:
        self._echo = echo

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002 - the name that subprocess taught everyone
        check: bool = True,
        stream: Callable[[str], None] | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Run one command to its end.

        Args:
            env: the whole environment; None: this process's own.
            input: text for its standard input, which is empty otherwise.
            check: raise when it fails.
            stream: gets each line of both its outputs as it comes, from two threads, one line at a time.
            timeout: seconds after which it is stopped, which counts as failure even without ``check``.

        Raises:
            TaskFailedError: it failed or took too long; carries its last lines.
            UsageError: the program or the folder to run it in is not there.
        """
        words = [os.fspath(word) for word in argv]
        if self._echo:
            self._echo(show(words))
        tail: deque[str] = deque(maxlen=LAST_LINES)
        process: subprocess.Popen[bytes] | None = None
        try:
            with _interrupts_held():
                process = _start(words, cwd, _environment(env, live=stream is not None), input is not None)
                collectors = _collect(process, tail, stream)
                writer = _feed(process, input)
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            assert process is not None
            _stop(process, signal.SIGTERM)
            _finish(collectors, writer)
            raise failure(words, process.returncode, list(tail), seconds=timeout) from None
        except BaseException:
            # Ctrl-C: it does not see the terminal's own, being in another session.
            if process is not None:
                _stop(process, signal.SIGINT)
                _finish(collectors, writer)
            raise
        _finish(collectors, writer)
        for collector in collectors:
            if collector.error is not None:
                raise collector.error
        out, err = (collector.text() for collector in collectors)
        if check and process.returncode != 0:
            raise failure(words, process.returncode, list(tail))
        return Result(words, process.returncode, out, err)


def show(argv: Sequence[str]) -> str:
    """Return a command as it would be typed, without passwords in URLs."""
    return mask_urls(shlex.join(argv))


def mask_urls(text: str) -> str:
    """Mask the password or token of each URL in ``text``; a bare ``ssh://git@`` keeps its user."""
    return _URL_USER.sub(lambda match: f"{match[1]}:{MASK}@" if match[1] else f"{MASK}@", text)


def how_it_ended(returncode: int) -> str:
    """Return ``exited with status 3`` or ``was killed by signal 9 (SIGKILL): out of memory?``."""
    if returncode >= 0:
        return f"exited with status {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = "unknown"
    hint = ": out of memory?" if returncode == -signal.SIGKILL else ""
    return f"was killed by signal {-returncode} ({name}){hint}"


def failure(
    argv: Sequence[str], returncode: int, lines: Sequence[str], *, seconds: float | None = None
) -> TaskFailedError:
    """Return the error for a command that failed, or that was stopped after ``seconds``."""
    ended = how_it_ended(returncode) if seconds is None else f"was stopped: it took longer than {seconds:g} s"
    return TaskFailedError(
        f"`{_short(argv)}` {ended}",
        command=show(argv),
        returncode=returncode,
        lines=[mask_urls(line) for line in lines][-LAST_LINES:],
    )


def missing_program(program: str) -> UsageError:
    """Return the error for a program that is not installed, with how to get it."""
    name = os.path.basename(program)  # noqa: PTH119 - a word of argv, not a path of ours
    step = _GET.get(name, f"install {name}, or put it on your PATH")
    return UsageError(f"{program} was not found on this machine", next_step=step)


def _short(argv: Sequence[str]) -> str:
    """Return the program and its first words: enough to know it by, in one line."""
    words = [os.path.basename(argv[0]), *argv[1:]]  # noqa: PTH119
    text = show(words[:5] if len(words) <= 5 else [*words[:4]])
    return text if len(words) <= 5 else f"{text} …"


def _environment(env: Mapping[str, str] | None, *, live: bool) -> dict[str, str]:
    values = dict(os.environ if env is None else env)
    if live and env is None:
        # A Python child that writes to a pipe would hold its lines back.
        values.setdefault("PYTHONUNBUFFERED", "1")
    return values


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while a child is being started: raised inside `Popen` it would leave a child nobody knows."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        before(*came[0])


def _start(argv: list[str], cwd: Path | str | None, env: dict[str, str], has_input: bool) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (FileNotFoundError, NotADirectoryError):
        if cwd is not None and not Path(cwd).is_dir():
            raise UsageError(f"cannot run `{_short(argv)}` in {cwd}: there is no such folder") from None
        raise missing_program(argv[0]) from None
    except OSError as error:
        if error.errno == errno.E2BIG:
            raise UsageError(f"cannot run `{_short(argv)}`: its arguments are too long") from None
        reason = os.strerror(error.errno or 0).lower()
        raise UsageError(f"cannot run {argv[0]}: {reason}", next_step=f"ls -l {shlex.quote(argv[0])}") from None
    except ValueError:
        raise UsageError(f"cannot run {argv[0]}: an argument holds a NUL character") from None


@dataclass
class _Collector:
    """Reads one output to its end; lines go on as they come."""

    pipe: IO[bytes]
    tail: deque[str]
    stream: Callable[[str], None] | None
    lock: threading.Lock
    chunks: list[bytes] = field(default_factory=list)
    error: Exception | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        for raw in self.pipe:
            self.chunks.append(raw)
            # A progress bar redraws its line with \r: what was drawn last counts.
            line = raw[-4000:].decode("utf-8", "replace").rstrip("\r\n").rsplit("\r", 1)[-1]
            with self.lock:
                self.tail.append(line)
                self.show(line)
        self.pipe.close()

    def show(self, line: str) -> None:
        if self.stream and self.error is None:
            try:
                self.stream(mask_urls(line))
            except Exception as error:  # raised again in `run`; until then the pipe must go on being emptied
                self.error = error

    def text(self) -> str:
        # Not universal newlines: a file name that git prints may hold \r, and bytes that are not UTF-8.
        return b"".join(self.chunks).decode("utf-8", "surrogateescape")


def _collect(
    process: subprocess.Popen[bytes], tail: deque[str], stream: Callable[[str], None] | None
) -> list[_Collector]:
    assert process.stdout is not None
    assert process.stderr is not None
    lock = threading.Lock()
    return [_Collector(pipe, tail, stream, lock) for pipe in (process.stdout, process.stderr)]


def _feed(process: subprocess.Popen[bytes], text: str | None) -> threading.Thread | None:
    pipe = process.stdin
    if pipe is None or text is None:
        return None

    def write() -> None:
        # It may not want all of it; its exit status says whether that matters. Closing flushes, and so can fail too.
        with contextlib.suppress(BrokenPipeError), pipe:
            pipe.write(text.encode("utf-8", "surrogateescape"))

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def _finish(collectors: list[_Collector], writer: threading.Thread | None) -> None:
    # A daemon that the command left behind may keep a pipe open: do not wait for it for ever.
    deadline = time.monotonic() + _DRAIN_SECONDS
    for thread in [*(collector.thread for collector in collectors), *([writer] if writer else [])]:
        thread.join(max(0.0, deadline - time.monotonic()))


def _stop(process: subprocess.Popen[bytes], first: signal.Signals) -> None:
    for number in (first, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        try:
            process.wait(_STOP_SECONDS)
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()
    # What it started got the same signals; what is left of it after a moment goes without being asked.
    deadline = time.monotonic() + _GROUP_SECONDS
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            threading.Event().wait(0.01)
        os.killpg(process.pid, signal.SIGKILL)
