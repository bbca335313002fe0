"""The end of every task: the one place that turns what went wrong into a card and an exit code.

Expected failures (`HandrailError`) become the card and their own exit code; a command of Invoke's own
``c.run`` that failed becomes one, too, and so does a file that the system refuses. Everything else is a bug: one
line, exit code 1, the trace in ``.handrail/traces/`` (mode 0600, secrets masked). `invoke.exceptions.Exit` ends the
whole command line.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit, UnexpectedExit

from handrail.errors import HandrailError, InterruptedByUserError, TaskFailedError, as_sentence
from handrail.tasks.base import HandrailTask, TaskContext, make_context, start_folder
from handrail.tasks.rerun import ci_line, laptop_line

# They come without a file's name.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE})


def guarded(task: HandrailTask, context: Context, run: Callable[[TaskContext], Any], values: Mapping[str, Any]) -> Any:
    """Return what ``run`` returns.

    Raises:
        Exit: it failed, and the user has been told.
    """
    c = make_context(context, as_json=bool(values.get("json")))
    try:
        task.check(values, start_folder(context))
        with _ended_like_ctrl_c():
            return run(c)
    except (Exit, SystemExit):
        raise
    except BrokenPipeError:
        # Whoever read our output has left (`inv logs | head`); there is nobody to tell.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - stays open, Python flushes it at exit
        raise Exit(code=141) from None
    except KeyboardInterrupt:
        raise _told(c, task, InterruptedByUserError("interrupted")) from None
    except HandrailError as error:
        raise _told(c, task, error) from None
    except UnexpectedExit as error:
        raise _told(c, task, _command_failed(error)) from None
    except OSError as error:
        is_of_machine = error.filename is not None or error.errno in _NO_ROOM
        raise _told(c, task, _refused_by_system(c, error) if is_of_machine else _unexpected(c, error)) from None
    except Exception as error:
        raise _told(c, task, _unexpected(c, error)) from None
    finally:
        c.printer.close()


@contextlib.contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, with which CI cancels a job, act as Ctrl-C does: what a task has started must end with it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def refused(task: HandrailTask, context: Context, values: Mapping[str, Any], error: HandrailError) -> Exit:
    """Show why ``task`` cannot start with ``values``; return what ends the program."""
    c = make_context(context, as_json=bool(values.get("json")))
    told = _told(c, task, error)
    c.printer.close()
    return told


def _told(c: TaskContext, task: HandrailTask, error: HandrailError) -> Exit:
    """Show the card and return what ends the program."""
    again = ("", "")
    if error.is_repeatable:
        again = (laptop_line(sys.argv), ci_line(task.path, sys.argv, start_folder(c.invoke), os.environ))
    c.printer.failure(error, task.path, *again)
    return Exit(code=error.exit_code)


def _command_failed(error: UnexpectedExit) -> TaskFailedError:
    result = error.result
    # What was not hidden has been seen already.
    lines = [
        line
        for stream in ("stdout", "stderr")
        if stream in result.hide
        for line in getattr(result, stream).splitlines()
    ]
    return TaskFailedError(
        "a command failed", command=str(result.command), returncode=int(result.exited), lines=lines[-20:]
    )


def _refused_by_system(c: TaskContext, error: OSError) -> HandrailError:
    """Return what names the file; the trace is kept for the case that the file is as it should be."""
    advice = "mend that, then run it again"
    with contextlib.suppress(OSError):
        advice += f"; where it is in order, this is a bug; trace: {_write_trace(c, _trace_of(c, error))}"
    return TaskFailedError(as_sentence(error), next_step=advice)


def _unexpected(c: TaskContext, error: Exception) -> HandrailError:
    """Write the trace and return the line that names it."""
    what = c.printer.mask(f"{type(error).__name__}: {error}".splitlines()[0])
    trace = _trace_of(c, error)
    try:
        place = str(_write_trace(c, trace))
    except OSError as problem:
        sys.stderr.write(trace)
        place = f"above, as it could not be written: {problem}"
    return HandrailError(f"unexpected {what}", next_step=f"this is a bug in Handrail or in a task; trace: {place}")


def _trace_of(c: TaskContext, error: Exception) -> str:
    return c.printer.mask("".join(traceback.format_exception(error)))


def _write_trace(c: TaskContext, text: str) -> Path:
    folder = start_folder(c.invoke) / ".handrail" / "traces"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / time.strftime(f"%Y%m%d-%H%M%S-{os.getpid()}.txt")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return path
