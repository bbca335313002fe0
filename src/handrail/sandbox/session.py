"""One command over SSH, with OpenSSH's manners.

Bytes go both ways as they are and are never collected: when the process does not read, the channel's window
closes, and when the client does not read, the process's pipe fills up. The command's end is reported with its
exit status or signal once its output has been passed on. When the client goes away the command is not killed:
its standard input ends, writing fails, and it decides for itself, as behind sshd without a terminal. It leads a
session of its own, so that a signal meant for the server does not reach it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import Any

import asyncssh

log = logging.getLogger("handrail.sandbox")

WINDOW = 1 << 18
"""Bytes that wait for a process which does not read, before the channel is told to wait too."""


class CommandSession(asyncssh.SSHServerSession[bytes]):
    """The channel's side: starts one command and feeds it.

    Args:
        name: for the log.
        home: folder in which the command starts.
        environment: its whole environment.
        running: the ids of all commands that run; this one is in it as long as it does.
    """

    def __init__(self, name: str, home: Path, environment: dict[str, str], running: set[int]) -> None:
        self.name = name
        self.channel: asyncssh.SSHServerChannel[bytes] | None = None
        self.running = running
        self._home = home
        self._environment = environment
        self._argv: list[str] = []
        self._process: asyncio.SubprocessTransport | None = None
        self._early: list[bytes] = []
        self._is_full = False
        self._is_delivering = False
        self._has_input_ended = False
        self._starting: asyncio.Task[None] | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open; what it is for comes next."""
        self.channel = chan

    def pty_requested(self, *_args: Any) -> bool:
        """There are no terminals here; ``ssh`` says so and goes on without."""
        return False

    def shell_requested(self) -> bool:
        """Run a shell that reads its commands from standard input."""
        self._argv = ["/bin/sh"]
        log.info("%s: shell", self.name)
        return True

    def exec_requested(self, command: str) -> bool:
        """Run a command by a shell, as sshd does. It is not logged: what is in it is the client's own business."""
        self._argv = ["/bin/sh", "-c", command]
        log.info("%s: exec", self.name)
        return True

    def session_started(self) -> None:
        """Start the command; what the client sends meanwhile waits."""
        self._starting = asyncio.get_running_loop().create_task(self._start())

    async def _start(self) -> None:
        try:
            self._process, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: _Command(self),
                *self._argv,
                cwd=self._home,
                env=self._environment,
                start_new_session=True,
            )
        except OSError as error:
            log.warning("%s: cannot start a command: %s", self.name, error)
            if self.channel:
                self.channel.write_stderr(f"sandbox: {error}\n".encode())
                self.channel.exit(126)
            return
        stdin = self._pipe(0)
        stdin.set_write_buffer_limits(high=WINDOW)
        for data in self._early:
            stdin.write(data)
        self._early.clear()
        if self._has_input_ended:
            stdin.close()
        if self.channel is None:
            self._let_go()
        self.take_more()

    def hold_back(self) -> None:
        """The process does not keep up: let the channel's window close."""
        self._is_full = True
        if self.channel and not self._is_delivering:
            self.channel.pause_reading()

    def resume_soon(self) -> None:
        """The process took what was waiting.

        Not at once: asyncio says so in the middle of its own writing, and loses what is written, or closes twice,
        when more data and the end of the input reach the pipe from inside that call.
        """
        self._is_full = False
        asyncio.get_running_loop().call_soon(self.take_more)

    def take_more(self) -> None:
        """Let the channel deliver again, unless the process has fallen behind meanwhile.

        All that it holds is taken at once: AsyncSSH opens the window in full at the first piece it delivers, also when
        it holds more, so that stopping it half way lets the client be ahead by another window each time.
        """
        if self.channel and not self._is_full:
            self._is_delivering = True
            self.channel.resume_reading()
            self._is_delivering = False
            if self._is_full and self.channel:
                self.channel.pause_reading()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Hand input on; for a process that closed its end it is dropped."""
        if self._process is None:
            self._early.append(data)
            if self.channel:
                self.channel.pause_reading()
            return
        stdin = self._pipe(0)
        if not stdin.is_closing():
            stdin.write(data)

    def eof_received(self) -> bool:
        """Close the command's input, and keep the channel open for its output."""
        self._has_input_ended = True
        if self._process:
            self._pipe(0).close()
        return True

    def signal_received(self, signal: str) -> None:
        """Send a signal, named without SIG, to the command and what it started."""
        number = _number_of(signal)
        if self._process and number and self._process.get_returncode() is None:
            try:
                os.killpg(self._process.get_pid(), number)
            except (ProcessLookupError, PermissionError):
                return

    def pause_writing(self) -> None:
        """The client does not keep up with the output: let it fill the process's pipes."""
        for fd in (1, 2):
            if self._process and not self._pipe(fd).is_closing():
                self._pipe(fd).pause_reading()

    def resume_writing(self) -> None:
        """The client took what was waiting."""
        for fd in (1, 2):
            if self._process and not self._pipe(fd).is_closing():
                self._pipe(fd).resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed, by whichever side."""
        self.channel = None
        self._let_go()

    def _let_go(self) -> None:
        """Close our ends of the pipes, and nothing else."""
        for fd in (0, 1, 2):
            if self._process:
                self._pipe(fd).close()

    def _pipe(self, fd: int) -> Any:
        assert self._process is not None
        return self._process.get_pipe_transport(fd)


class _Command(asyncio.SubprocessProtocol):
    """The process's side: passes its output on and reports its end."""

    def __init__(self, session: CommandSession) -> None:
        self._session = session
        self._process: asyncio.SubprocessTransport | None = None
        self._open_outputs = {1, 2}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._process = transport
        self._session.running.add(transport.get_pid())

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        channel = self._session.channel
        if channel is None or channel.is_closing():
            return
        if fd == 1:
            channel.write(data)
        else:
            channel.write_stderr(data)

    def pause_writing(self) -> None:
        # asyncio calls these two for the process's standard input.
        self._session.hold_back()

    def resume_writing(self) -> None:
        self._session.resume_soon()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open_outputs.discard(fd)
        if fd == 0:
            # It closed its input while we held some back: from now on it is dropped, and the client goes on.
            self._session.resume_soon()
        self._report_end()

    def process_exited(self) -> None:
        # Output may still be on its way, or be held open by what the command left behind; sshd waits, too.
        assert self._process is not None
        self._session.running.discard(self._process.get_pid())
        self._report_end()

    def _report_end(self) -> None:
        code = self._process.get_returncode() if self._process else None
        channel = self._session.channel
        if code is None or self._open_outputs or channel is None:
            return
        if code < 0:
            channel.exit_with_signal(_name_of(-code))
        else:
            channel.exit(code)


def _number_of(name: str) -> int:
    try:
        return signal.Signals[f"SIG{name}"]
    except KeyError:
        return 0


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return f"{number}@handrail"
