from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from handrail.commands import Runner, how_it_ended, mask_urls, show
from handrail.config.secret import MASK
from handrail.errors import TaskFailedError, UsageError

pytestmark = pytest.mark.unit


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_both_outputs_are_returned_apart() -> None:
    result = Runner().run(python("import sys; print('out'); print('err', file=sys.stderr)"))
    assert (result.returncode, result.stdout, result.stderr) == (0, "out\n", "err\n")


def test_a_failure_names_the_command_its_status_and_its_last_twenty_lines() -> None:
    with pytest.raises(TaskFailedError) as caught:
        Runner().run(python("import sys; [print(n) for n in range(30)]; sys.exit(3)"))
    error = caught.value
    assert error.message.endswith("exited with status 3")
    assert error.returncode == 3
    assert error.lines == [str(number) for number in range(10, 30)]
    assert error.command.startswith(sys.executable)


def test_a_failure_without_check_is_a_result() -> None:
    assert Runner().run(python("raise SystemExit(4)"), check=False).returncode == 4


def test_death_by_signal_is_named() -> None:
    with pytest.raises(TaskFailedError, match=r"was killed by signal 9 \(SIGKILL\): out of memory\?"):
        Runner().run(python("import os; os.kill(os.getpid(), 9)"))
    assert how_it_ended(-signal.SIGTERM) == "was killed by signal 15 (SIGTERM)"
    assert how_it_ended(-200) == "was killed by signal 200 (unknown)"


def test_a_missing_program_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="git was not found") as caught:
        Runner().run(["git", "status"])
    assert "apt install git" in caught.value.next_step


def test_a_missing_folder_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        Runner().run(python(""), cwd=tmp_path / "absent")


def test_a_program_that_is_not_executable_is_one_line(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("x")
    with pytest.raises(UsageError, match=r"cannot run .*permission denied"):
        Runner().run([str(script)])


def test_a_nul_character_is_one_line() -> None:
    with pytest.raises(UsageError, match="NUL"):
        Runner().run(["git", "a\0b"])


def test_lines_are_streamed_while_the_command_runs(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    seen: list[str] = []

    def stream(line: str) -> None:
        seen.append(line)
        flag.touch()

    # The command ends only once its first line has been seen.
    wait = f"import os, time\nprint('first')\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.01)\nprint('last')"
    Runner().run(python(wait), stream=stream, timeout=30)
    assert seen == ["first", "last"]


def test_of_a_progress_bar_only_what_was_drawn_last_is_a_line() -> None:
    seen: list[str] = []
    Runner().run(python("print('10%\\r50%\\r100%')"), stream=seen.append)
    assert seen == ["100%"]


def test_an_error_of_the_stream_is_raised_and_does_not_block_the_command() -> None:
    def stream(_line: str) -> None:
        raise BrokenPipeError("closed")

    with pytest.raises(BrokenPipeError):
        Runner().run(python("print('x\\n' * 100000)"), stream=stream, timeout=60)


def test_input_reaches_the_command() -> None:
    code = "import sys; print(sys.stdin.read().upper(), end='')"
    assert Runner().run(python(code), input="héllo").stdout == "HÉLLO"


def test_input_that_is_not_read_is_no_failure() -> None:
    assert Runner().run(python("import os; os.close(0)"), input="x" * 1_000_000).returncode == 0


def test_standard_input_is_empty_otherwise() -> None:
    assert Runner().run(python("import sys; print(repr(sys.stdin.read()))")).stdout == "''\n"


def test_bytes_that_are_not_utf8_and_carriage_returns_survive() -> None:
    out = Runner().run(python("import sys; sys.stdout.buffer.write(b'a\\xe9\\r\\nb')")).stdout
    assert os.fsencode(out) == b"a\xe9\r\nb"


def test_the_environment_is_the_given_one_and_nothing_else() -> None:
    code = "import os; print(sorted(k for k in os.environ if k.startswith('HANDRAIL_TEST')))"
    env = {"HANDRAIL_TEST_A": "1"}
    assert Runner().run(python(code), env=env).stdout == "['HANDRAIL_TEST_A']\n"


def test_a_command_that_takes_too_long_is_stopped_with_its_children(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(file)!r}, 'w').write(str(child.pid))\n"
        "child.wait()"
    )
    with pytest.raises(TaskFailedError, match="was stopped: it took longer than 2 s"):
        Runner().run(python(code), check=False, timeout=2)
    assert _ends(int(file.read_text()))


def test_a_child_that_ignores_the_polite_signal_goes_with_its_stopped_command(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        f"open({str(file)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)"
    )
    with pytest.raises(TaskFailedError, match="was stopped"):
        Runner().run(python(code), check=False, timeout=3)
    assert _ends(int(file.read_text()))


def test_an_interrupt_stops_the_command(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    code = f"import os, time\nopen({str(file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"

    def interrupt() -> None:
        while not file.exists() or not file.read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        Runner().run(python(code))
    thread.join()
    assert not _lives(int(file.read_text()))


def test_an_interrupt_that_comes_while_a_command_starts_leaves_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def interrupted(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(real(*args, **options))
        signal.raise_signal(signal.SIGINT)
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Runner().run(python("import time; time.sleep(600)"))
    assert started[0].returncode is not None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _ends(pid: int) -> bool:
    """Return whether a process that was killed is gone, giving the kernel a moment."""
    deadline = time.monotonic() + 10
    while _lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not _lives(pid)


def _lives(pid: int) -> bool:
    """Return whether a process runs; one that is dead but not yet reaped by its new parent does not."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_daemon_left_behind_does_not_hold_the_runner_up() -> None:
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(20)'])"
    started = time.monotonic()
    Runner().run(python(code))
    assert time.monotonic() - started < 15


def test_echo_shows_the_command_before_it_runs() -> None:
    said: list[str] = []
    Runner(said.append).run([sys.executable, "-c", "pass # two words"])
    assert said == [f"{sys.executable} -c 'pass # two words'"]


@pytest.mark.security
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:s3cret@index.example/simple", f"https://me:{MASK}@index.example/simple"),
        ("https://s3cret@index.example/simple", f"https://{MASK}@index.example/simple"),
        ("git+ssh://git@example.org/x", "git+ssh://git@example.org/x"),
        ("mail me@example.org", "mail me@example.org"),
    ],
)
def test_passwords_in_urls_are_masked(text: str, shown: str) -> None:
    assert mask_urls(text) == shown


@pytest.mark.security
def test_a_password_in_a_url_shows_neither_in_the_error_nor_in_the_stream() -> None:
    url = "https://me:s3cret@index.example/simple"
    seen: list[str] = []
    with pytest.raises(TaskFailedError) as caught:
        Runner().run([*python("import sys; print(sys.argv[1]); sys.exit(1)"), url], stream=seen.append)
    error = caught.value
    assert "s3cret" not in "\n".join([error.message, error.command, *error.lines, *seen, show(["x", url])])
