"""What `inv doctor` asks of a host beside ``hello``: looks, measures, changes nothing."""

import os
import pwd
import shutil
import socket
import subprocess
import time

from handrail.agent.commands import run
from handrail.agent.files import read_text
from handrail.agent.machine import find_pythons, find_supervisor, nearest_folder
from handrail.agent.processes import command_line, listeners, listening_uid
from handrail.agent.service import Service

# Seconds above a bare shell from which the files that a shell reads are timed one by one.
NOTICEABLE = 0.1
LONGEST = 15.0


def examine(agent, request, _payload):
    """Return facts; what they mean is the client's business (`handrail.doctor.hosts`)."""
    app = agent.app
    return {
        "folders": [
            folder_facts(path)
            for path in [app.folder, app.releases, app.store, app.path("shared")]
            if path == app.folder or os.path.isdir(path)
        ],
        "release": size_of(app.release(app.current_release())) if app.current_release() else None,
        "python": python_works(request.get("python")),
        "uv": shutil.which("uv") or "",
        "systemd": os.path.isdir("/run/systemd/system"),
        "supervisor": supervisor_answer(),
        "sudo": sudo_rules(),
        "ports": [port_facts(agent, port) for port in request["ports"]],
        "shell": shell_facts(),
    }


def folder_facts(path):
    there = nearest_folder(path)
    facts = os.stat(there)
    return {
        "path": path,
        "nearest": there,
        "owner": name_of(facts.st_uid),
        "writable": os.access(there, os.W_OK | os.X_OK),
        "noexec": bool(os.statvfs(there).f_flag & getattr(os, "ST_NOEXEC", 0)),
    }


def size_of(folder):
    """Return bytes and files of a release as if nothing in it were shared with another one: an upper bound."""
    total, files = 0, 0
    for here, folders, names in os.walk(folder):
        files += len(folders)
        for name in names:
            try:
                total += os.lstat(os.path.join(here, name)).st_blocks * 512
            except OSError:
                continue
            files += 1
    return {"bytes": total, "files": files}


def python_works(version):
    """Tell whether the interpreter of a version is here, and whole; None where none is asked for."""
    if not version:
        return None
    path = find_pythons().get(version)
    return bool(path) and run([path, "-c", "import ssl, zlib, venv"], 20)[0] == 0


def supervisor_answer():
    found = find_supervisor()
    if not found:
        return None
    code, lines = run([found["ctl"], "-c", found["conf"], "pid"], 20)
    return {"code": code, "line": lines[-1] if lines else ""}


def sudo_rules():
    """Return what ``sudo -n -l`` says; None for root, who needs none."""
    if os.geteuid() == 0:
        return None
    if not shutil.which("sudo"):
        return {"code": 127, "lines": []}
    # Wide: sudo wraps its list at the terminal's width.
    code, lines = run(["sudo", "-n", "-l"], 20, env=dict(os.environ, LC_ALL="C", COLUMNS="10000"))
    return {"code": code, "lines": lines}


def port_facts(agent, port):
    """Return who listens on a port: ``pid`` is 0 where that cannot be seen, ``user`` may be known all the same."""
    owners = listeners(port)
    if owners == []:
        return {"port": port, "used": False}
    if owners is None and not listening_user(port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return {"port": port, "used": False}
    facts = {"port": port, "used": True, "pid": 0, "user": listening_user(port), "command": "", "ours": False}
    for pid in owners or []:
        facts["pid"] = pid
        facts["ours"] = bool(Service(agent.app, None).running_release(pid))
        facts["command"] = command_line(pid)[:120]
        if not facts["ours"]:
            break
    return facts


def listening_user(port):
    uid = listening_uid(port)
    return "" if uid is None else name_of(uid)


def name_of(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def shell_facts():
    """Time what sshd starts for each command: the user's shell, with the files that it reads first.

    ``bare`` is /bin/sh, ``command`` the user's shell as sshd calls it, ``login`` the same as a login shell; in seconds.
    """
    try:
        shell = pwd.getpwuid(os.geteuid()).pw_shell or "/bin/sh"
    except KeyError:
        shell = "/bin/sh"
    bare, _ = timed(["/bin/sh", "-c", ":"])
    command, said = timed([shell, "-c", ":"])
    login, _ = timed([shell, "-l", "-c", ":"])
    facts = {"shell": shell, "bare": bare, "command": command, "login": login, "said": said[:3], "files": []}
    if max(command, login) - bare > NOTICEABLE:
        facts["files"] = [file_facts(shell, path, kind) for path, kind in start_files(shell)]
    return facts


def start_files(shell):
    """Return (path, kind) of the files that a shell reads and that are here; kind is ``command`` or ``login``."""
    home = os.path.expanduser("~")
    name = os.path.basename(shell)
    if name == "bash":
        own = [os.path.join(home, file) for file in (".bash_profile", ".bash_login", ".profile")]
        first = next((path for path in own if os.path.exists(path)), "")
        files = [("/etc/bash.bashrc", "command"), (os.path.join(home, ".bashrc"), "command")]
        files += [("/etc/profile", "login"), (first, "login")]
    elif name == "zsh":
        files = [(path, "command") for path in ("/etc/zshenv", "/etc/zsh/zshenv", os.path.join(home, ".zshenv"))]
        files += [(path, "login") for path in ("/etc/zsh/zprofile", os.path.join(home, ".zprofile"))]
    elif name == "fish":
        files = [(os.path.join(home, ".config/fish/config.fish"), "command")]
    else:
        files = [("/etc/profile", "login"), (os.path.join(home, ".profile"), "login")]
    return [(path, kind) for path, kind in files if path and os.path.isfile(path)]


def file_facts(shell, path, kind):
    """Time one file alone, and note which others it names: it may only be slow because of them."""
    name = os.path.basename(shell)
    plain = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}.get(name, [])
    seconds, _ = timed([shell, *plain, "-c", '. "$0" >/dev/null 2>&1' if name != "fish" else "source $argv[1]", path])
    text = read_text(path)
    others = [other for other, _ in start_files(shell) if other != path and is_named(other, text)]
    return {"path": path, "kind": kind, "seconds": seconds, "names": others}


def is_named(path, text):
    """Tell whether a start-up file's text names another one, by its path or by one from the home folder."""
    home = os.path.expanduser("~") + os.sep
    names = [path]
    if path.startswith(home):
        names += [start + path[len(home) :] for start in ("~/", "$HOME/", "${HOME}/")]
    return any(name in text for name in names)


def timed(argv):
    """Return (seconds, output lines) of a command as sshd would start it; what is slow is timed twice.

    Its standard input is a socket: by that a shell knows that it was started from afar.
    """
    best, lines = LONGEST, []
    for _ in range(2):
        mine, its = socket.socketpair()
        started = time.monotonic()
        try:
            kept = {key: value for key, value in os.environ.items() if key != "SHLVL"}
            process = subprocess.Popen(
                argv,
                stdin=its,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=kept,
                cwd=os.path.expanduser("~"),
                start_new_session=True,
            )
            its.close()
            mine.shutdown(socket.SHUT_WR)
            try:
                out, _ = process.communicate(timeout=LONGEST)
            except subprocess.TimeoutExpired:
                process.kill()
                out = b""
                process.wait()
            lines = out.decode("utf-8", "replace").splitlines()
        except OSError:
            return 0.0, []
        finally:
            mine.close()
            its.close()
        best = min(best, time.monotonic() - started)
        if best < NOTICEABLE or best > 2.0:
            break
    return round(best, 4), lines
