"""Requests that make a release complete in its own folder, and run its migration."""

import contextlib
import errno
import json
import os
import threading
import time

from handrail.agent.commands import how_it_ended, run
from handrail.agent.files import entries, inside, read_text, remove_file, remove_tree, sync, write_atomic
from handrail.agent.locking import must_hold_lock
from handrail.agent.machine import boot_id, find_program, find_pythons
from handrail.agent.refusal import Refused
from handrail.agent.schema import crossed, declared_irreversible, run_migration, state_of
from handrail.agent.transaction import Transaction

# In the store, from before something is made there until it is flushed: the boot in which that was.
UNFLUSHED = "unflushed"


def prepare(agent, request, _payload):
    """Make the release complete in its own folder: code, environment, settings. Nothing serves it yet."""
    must_hold_lock(agent)
    release = request["release"]
    folder = agent.app.release(release)
    transaction = Transaction(agent.app)
    state, boot = transaction.state(), boot_id()
    # The journal is flushed at once, the release in the background: after a power cut the one may lie about the other.
    is_ready = state.get("step") in ("prepared", "migrated") and state.get("boot") == boot
    # The same id is the same content: one that is good, and may be serving right now, is never taken apart.
    is_reused = agent.app.is_complete(release) and (is_ready or release in agent.app.good_releases())
    if not is_reused:
        agent.app.delete(release)
        fill(agent, folder, request, place_shared)
    if not (is_reused and is_ready):
        transaction.update(step="prepared", boot=boot)
    # The data must be on the disk before a switch points at it, also where the agent that wrote it was killed; it gets
    # there while others still prepare.
    agent.syncing = threading.Thread(target=flush, args=(agent.app,), daemon=True)
    agent.syncing.start()
    return {"reused": is_reused}


def flush(app):
    os.sync()
    # One of another boot says what was lost by then: it stays until somebody has heeded it.
    if read_text(app.path("store", UNFLUSHED)) == boot_id():
        remove_file(app.path("store", UNFLUSHED))


def trust_what_is_flushed(app):
    """Delete what was made of the store's objects where the host went down before that was flushed.

    An object that a power cut halved has the wrong size, and is sent again. Of the rest nothing tells whether it is
    whole, uv's cache among it, and every later release would get it.
    """
    mark, boot = app.path("store", UNFLUSHED), boot_id()
    if read_text(mark) not in ("", boot):
        for folder in entries(os.path.join(app.store, "objects")):
            for path in entries(folder, end=".x"):
                os.unlink(path)
        for name in ("wheels", "tools", "uv-cache"):
            path = os.path.join(app.store, name)
            if os.path.lexists(path):
                os.rename(path, "%s.%d.old" % (path, time.monotonic_ns()))
    for path in entries(app.store, end=".old"):
        # What this user may not delete, such as root's own files, is in nobody's way.
        with contextlib.suppress(OSError):
            remove_tree(path)
    write_atomic(mark, boot, 0o644)
    sync(app.store)


def fill(agent, folder, request, share):
    """Fill a release's folder, which is not there yet; ``share(agent, folder, paths)`` makes what outlives releases."""
    meta = os.path.join(folder, ".handrail")
    os.makedirs(meta, mode=0o755)
    trust_what_is_flushed(agent.app)
    place_files(agent, folder)
    share(agent, folder, request["shared"])
    write_atomic(os.path.join(meta, "env"), request["env"], 0o600)
    write_atomic(os.path.join(meta, "variables.json"), json.dumps(request["variables"]), 0o600)
    write_atomic(os.path.join(meta, "irreversible.json"), json.dumps(request["irreversible"]), 0o644)
    for name, text in request["launchers"].items():
        write_atomic(inside(meta, "run-" + name), text, 0o755)
    wheels = [m for m in agent.manifest["members"] if m["kind"] == "wheel"]
    if agent.manifest.get("python"):
        make_environment(agent, folder, wheels)
    write_atomic(os.path.join(meta, "manifest.json"), json.dumps(agent.manifest), 0o644)
    write_atomic(os.path.join(meta, "state"), "complete\n", 0o644)


def place_files(agent, folder):
    made = {folder}
    for member in agent.manifest["members"]:
        if member["kind"] not in ("file", "link"):
            continue
        path = inside(folder, member["path"])
        parent = os.path.dirname(path)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        if member["kind"] == "link":
            target = os.path.normpath(os.path.join(os.path.dirname(member["path"]), member["target"]))
            if target.startswith("..") or os.path.isabs(member["target"]):
                raise Refused("bad-request", "link %r points outside the release" % member["path"])
            os.symlink(member["target"], path)
            continue
        source = agent.app.object_path(member["sha256"])
        if member["mode"] & 0o100:
            executable = source + ".x"
            if not os.path.exists(executable):
                temporary = "%s.%d.tmp" % (executable, os.getpid())
                copy_file(source, temporary)
                os.chmod(temporary, 0o555)
                os.rename(temporary, executable)
            source = executable
        # A hard link: unchanged files take no space and no time. They are read-only; data goes to shared/.
        try:
            os.link(source, path)
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EPERM):
                raise
            copy_file(source, path)
            os.chmod(path, 0o555 if member["mode"] & 0o100 else 0o444)


def copy_file(source, path):
    with open(source, "rb") as read, open(path, "wb") as written:
        while True:
            data = read.read(1 << 20)
            if not data:
                return
            written.write(data)


def place_shared(agent, folder, shared):
    for relative in shared:
        target = inside(agent.app.path("shared"), relative)
        path = inside(folder, relative)
        if os.path.splitext(relative)[1] == "":
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path):
            remove_tree(path)
        os.symlink(target, path)


def make_environment(agent, folder, wheels):
    uv = find_uv(agent)
    python = find_pythons().get(agent.manifest["python"])
    if not python:
        raise Refused("python", "no python%s on this host" % agent.manifest["python"])
    environment = dict(os.environ)
    for name in list(environment):
        if name.startswith(("UV_", "VIRTUAL_ENV", "PYTHON", "CONDA")):
            del environment[name]
    environment.update(
        UV_CACHE_DIR=os.path.join(agent.app.store, "uv-cache"),
        UV_OFFLINE="1",
        UV_NO_CONFIG="1",
        UV_PYTHON_DOWNLOADS="never",
        UV_NO_PROGRESS="1",
    )
    target = os.path.join(folder, ".venv")
    command(agent, [uv, "venv", "--no-project", "--python", python, target], environment, "make the environment")
    paths = []
    for wheel in wheels:
        # uv caches an unpacked wheel by path and time: the path must stay the same from release to release.
        path = os.path.join(agent.app.store, "wheels", wheel["sha256"], os.path.basename(wheel["path"]))
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.link(agent.app.object_path(wheel["sha256"]), path)
        paths.append(path)
    if paths:
        argv = [
            uv,
            "pip",
            "install",
            "--no-deps",
            "--no-index",
            "--python",
            os.path.join(target, "bin", "python"),
        ]
        command(agent, argv + paths, environment, "install %d wheels" % len(paths))


def command(agent, argv, environment, what):
    code, lines = run(argv, 600, env=environment, gone=agent.stop)
    if code != 0:
        raise Refused(
            "command", "%s: %s %s" % (what, os.path.basename(argv[0]), how_it_ended(code)),
            command=" ".join(argv[:6]), returncode=code, lines=lines[-20:],
        )  # fmt: skip


def find_uv(agent):
    """Return uv's path: the bundle's own, unpacked once; else the host's."""
    for member in agent.manifest["members"]:
        if member["kind"] != "tool":
            continue
        folder = os.path.join(agent.app.store, "tools", member["sha256"])
        program = os.path.join(folder, "uv")
        if not os.path.exists(program):
            import shutil
            import zipfile

            os.makedirs(folder, exist_ok=True)
            with zipfile.ZipFile(agent.app.object_path(member["sha256"])) as archive:
                name = next((n for n in archive.namelist() if n.endswith("/scripts/uv")), None)
                if name is None:
                    raise Refused("command", "the bundle's uv wheel holds no uv program")
                temporary = "%s.%d.tmp" % (program, os.getpid())
                with archive.open(name) as packed, open(temporary, "wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked)
            os.chmod(temporary, 0o755)
            os.rename(temporary, program)
        return program
    found = find_program("uv") or os.path.expanduser("~/.local/bin/uv")
    if not os.access(found, os.X_OK):
        raise Refused("command", "neither the bundle nor this host has uv")
    return found


def migrate(agent, request, _payload):
    """Run the release's migration here. A client that dies meanwhile does not stop it half-way."""
    must_hold_lock(agent)
    transaction = Transaction(agent.app)
    state = transaction.state()
    launcher = agent.app.release(state["release"], ".handrail", "run-migrate")
    # One whose agent was killed has gone on from there, to its end as a rule, and this one finds little to do.
    before = state["migrating_from"] if "migrating_from" in state else state_of(agent.app, state["release"])
    declared, known = (declared_irreversible(agent.app, each) for each in (state["release"], state["from"]))
    # What it may have done is known also where nobody sees it end: a rollback asks then.
    schema = None if before is None else {"before": before, "after": None}
    may_cross = crossed(declared, known, schema, [])
    transaction.update(step="migrating", migrating_from=before, schema=schema, migrated=True, irreversible=may_cross)
    code, lines = run_migration(agent.app, launcher, emit=lambda line: agent.event(line=line))
    try:
        after = state_of(agent.app, state["release"])
    except Refused:
        if code == 0:
            raise
        after = before  # the database cannot be asked: what failed is the migration all the same
    schema = None if after is None else {"before": before, "after": after}
    # Without migrate_state nobody can tell whether it changed anything: then it counts as if it had.
    facts = {"schema": schema, "migrated": after != before or (after is None and code == 0)}
    facts["irreversible"] = crossed(declared, known, schema, lines) if facts["migrated"] else []
    if code != 0:
        # Of several migrations some may have been applied before the one that failed.
        transaction.update(step="prepared", **facts)
        raise Refused(
            "command", "the migration %s" % how_it_ended(code),
            command=request["command"], returncode=code, lines=lines[-30:], **facts,
        )  # fmt: skip
    transaction.update(step="migrated", migrate_ran=True, **facts)
    return facts
