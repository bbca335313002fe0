from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from handrail.errors import ConfigError
from handrail.runtime.launcher import quote, render_env, render_launcher, split_command

pytestmark = pytest.mark.unit

REPORT = (
    "import json, os, sys;"
    "json.dump([sys.argv[1:], os.getcwd(), {os.fsencode(k).hex(): os.fsencode(v).hex()"
    " for k, v in os.environ.items()}], sys.stdout)"
)
AWKWARD = {
    "PLAIN": "value",
    "EMPTY": "",
    "QUOTES": """it's "quoted" ''' \\' \\""",
    "LINES": "first\nsecond\n\n  third\t\r\n",
    "SHELL": "$HOME `id` $(id) ; rm -rf / && echo ${X} | cat > /dev/null # !x * ? ~ \\n %s",
    "UNICODE": "Ünïcödé 漢字 Áâ \u0081\u0088 🛤",
    "BYTES": bytes(range(0x01, 0x100)).decode("utf-8", "surrogateescape"),
    "LATE": "='=",
}


class Ran:
    def __init__(self, text: str) -> None:
        self.args, self.cwd, environ = json.loads(text)
        self.environ = {bytes.fromhex(k).decode(): bytes.fromhex(v) for k, v in environ.items()}


def install(app_dir: Path, release: str, *, command: str = "", env: dict[str, str] | None = None) -> Path:
    folder = app_dir / "releases" / release
    (folder / ".handrail").mkdir(parents=True)
    command = command or f"{quote(sys.executable)} -c {quote(REPORT)} one 'two words'"
    launcher = folder / ".handrail" / "run-web"
    launcher.write_text(render_launcher(command, app="shop", process="web", port=8123, release=release))
    launcher.chmod(0o755)
    if env is not None:
        (folder / ".handrail" / "env").write_bytes(render_env(env).encode("utf-8", "surrogateescape"))
    return folder


def start(launcher: Path | str, *, sh: str = "sh", cwd: Path | None = None, **environ: str) -> Ran:
    done = subprocess.run(
        [sh, str(launcher)],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return Ran(done.stdout)


@pytest.mark.parametrize("sh", ["sh", "dash", "bash"])
def test_every_value_reaches_the_process_byte_for_byte(tmp_path: Path, sh: str) -> None:
    if not any((Path(folder) / sh).exists() for folder in os.environ["PATH"].split(":")):
        pytest.skip(f"{sh} is not installed")
    folder = install(tmp_path, "12-abc", env=AWKWARD)

    ran = start(folder / ".handrail" / "run-web", sh=sh)

    for name, value in AWKWARD.items():
        assert ran.environ[name] == value.encode("utf-8", "surrogateescape"), name


def test_the_process_learns_its_app_release_and_port(tmp_path: Path) -> None:
    folder = install(tmp_path, "12-abc", env={"PORT": "1", "HANDRAIL_RELEASE": "spoofed"})

    ran = start(folder / ".handrail" / "run-web")

    names = ("HANDRAIL_APP", "HANDRAIL_PROCESS", "HANDRAIL_RELEASE", "PORT")
    assert [ran.environ[name] for name in names] == [b"shop", b"web", b"12-abc", b"8123"]


def test_words_of_the_command_arrive_as_they_were_quoted(tmp_path: Path) -> None:
    words = "'a  b' \"it's\" --bind 127.0.0.1:{port} {app} '{x}' \"\""
    folder = install(tmp_path, "1-a", command=f"{quote(sys.executable)} -c {quote(REPORT)} {words}")

    ran = start(folder / ".handrail" / "run-web")

    assert ran.args == ["a  b", "it's", "--bind", "127.0.0.1:8123", "shop", "{x}", ""]


def test_a_start_through_current_runs_in_the_real_release_folder(tmp_path: Path) -> None:
    app_dir = tmp_path / "a folder with 'odd' $characters"
    folder = install(app_dir, "1-a")
    (app_dir / "current").symlink_to("releases/1-a")

    ran = start(app_dir / "current" / ".handrail" / "run-web")

    assert ran.cwd == str(folder.resolve())


@pytest.mark.parametrize("inside", [".handrail", "."])
def test_a_start_by_a_relative_path_runs_in_the_release_folder(tmp_path: Path, inside: str) -> None:
    folder = install(tmp_path, "1-a")
    launcher = "run-web" if inside == ".handrail" else ".handrail/run-web"

    ran = start(launcher, cwd=folder / inside, CDPATH=str(tmp_path))

    assert ran.cwd == str(folder.resolve())


def test_a_launcher_read_just_before_the_switch_stays_with_its_own_release(tmp_path: Path) -> None:
    old = install(tmp_path, "1-a")
    new = install(tmp_path, "2-b")
    (tmp_path / "current").symlink_to("releases/2-b")
    (new / ".handrail" / "run-web").write_text((old / ".handrail" / "run-web").read_text())

    ran = start(tmp_path / "current" / ".handrail" / "run-web")

    assert ran.cwd == str(old.resolve())


def test_the_virtual_environment_of_the_release_comes_first(tmp_path: Path) -> None:
    folder = install(tmp_path, "1-a", command="report", env={"PATH": "/opt/tools/bin:/usr/bin:/bin"})
    program = folder / ".venv" / "bin" / "report"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\nexec {quote(sys.executable)} -c {quote(REPORT)}\n")
    program.chmod(0o755)

    ran = start(folder / ".handrail" / "run-web", VIRTUAL_ENV="/somebody/else", PYTHONPATH="/somebody")

    venv = os.fsencode(folder.resolve() / ".venv")
    assert ran.environ["PATH"] == venv + b"/bin:/opt/tools/bin:/usr/bin:/bin"
    assert ran.environ["VIRTUAL_ENV"] == venv
    assert "PYTHONPATH" not in ran.environ


def test_without_a_virtual_environment_none_is_inherited(tmp_path: Path) -> None:
    folder = install(tmp_path, "1-a")

    ran = start(folder / ".handrail" / "run-web", VIRTUAL_ENV="/somebody/else")

    assert "VIRTUAL_ENV" not in ran.environ


def test_output_is_unbuffered_unless_the_project_says_otherwise(tmp_path: Path) -> None:
    plain = install(tmp_path, "1-a")
    buffered = install(tmp_path, "2-b", env={"PYTHONUNBUFFERED": ""})

    assert start(plain / ".handrail" / "run-web").environ["PYTHONUNBUFFERED"] == b"1"
    assert start(buffered / ".handrail" / "run-web").environ["PYTHONUNBUFFERED"] == b""


def test_the_command_replaces_the_shell_so_signals_reach_it(tmp_path: Path) -> None:
    folder = install(tmp_path, "1-a", command=f"{quote(sys.executable)} -c 'import os; print(os.getpid())'")

    process = subprocess.Popen([folder / ".handrail" / "run-web"], stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate()

    assert int(output) == process.pid


def test_a_missing_program_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = install(tmp_path, "1-a", command="no-such-program --now")

    done = subprocess.run(["sh", folder / ".handrail" / "run-web"], capture_output=True, text=True, check=False)

    assert done.returncode == 127
    assert "no-such-program" in done.stderr


def test_an_env_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    folder = install(tmp_path, "1-a")
    (folder / ".handrail" / "env").write_text("export BROKEN='open\n")

    done = subprocess.run(["sh", folder / ".handrail" / "run-web"], capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("gunicorn a:b | tee log", "|"),
        ("python manage.py migrate && gunicorn a:b", "&&"),
        ("python -c 1;id", ";"),
        ("gunicorn a:b > log", ">"),
        ("gunicorn a:b 2>&1", ">"),
        ("gunicorn a:b &", "&"),
        ("sh < script", "<"),
        ("gunicorn -w $WORKERS", "$WORKERS"),
        ('gunicorn -w "${WORKERS}"', "${WORKERS}"),
        ("gunicorn -w $(nproc)", "$("),
        ("gunicorn -w `nproc`", "`"),
    ],
)
def test_a_command_that_needs_a_shell_is_refused_with_a_way_out(command: str, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        split_command(command)

    assert f"{found!r} needs a shell" in caught.value.message
    assert "script" in caught.value.next_step


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("gunicorn 'app:create(a|b; c)'", ["gunicorn", "app:create(a|b; c)"]),
        ('run "a & b"', ["run", "a & b"]),
        ("run a\\&b \\$X '$X'", ["run", "a&b", "$X", "$X"]),
        ("gunicorn app:create()", ["gunicorn", "app:create()"]),
        ("run \\\n  --flag", ["run", "\n", "--flag"]),
        ("run costs 5$", ["run", "costs", "5$"]),
    ],
)
def test_quoted_operators_are_plain_text(command: str, words: list[str]) -> None:
    assert split_command(command) == words


@pytest.mark.parametrize("command", ["", "   ", "''", "run 'open", 'run "open', "run \\"])
def test_an_empty_or_unfinished_command_is_refused(command: str) -> None:
    with pytest.raises(ConfigError, match=r"tool\.handrail\.service\.command"):
        split_command(command)


def test_a_variable_in_front_of_the_command_is_sent_to_the_env_file() -> None:
    with pytest.raises(ConfigError, match="DEBUG") as caught:
        split_command("DEBUG=1 gunicorn a:b")

    assert "env/example.env" in caught.value.next_step
    assert split_command("run --x=1") == ["run", "--x=1"]


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "A\n", "É", "UID", "PPID"])
def test_a_name_that_sh_cannot_export_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        render_env({name: "x"})


@pytest.mark.security
@pytest.mark.parametrize("value", ["hunter2\0", "hunter2" * 20_000])
def test_a_refused_value_is_not_shown(value: str) -> None:
    with pytest.raises(ConfigError, match="TOKEN") as caught:
        render_env({"TOKEN": value})

    assert "hunter2" not in caught.value.message


def test_the_env_file_does_not_depend_on_the_order_of_values() -> None:
    assert render_env({"B": "2", "A": "1"}) == "export A='1'\nexport B='2'\n"
