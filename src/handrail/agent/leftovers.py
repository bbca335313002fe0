"""What a rehearsal (`inv db.plan`) leaves where its agent was killed; whoever takes the lock next sweeps it.

A rehearsal lives in ``rehearsal/`` beside ``releases/``: its release, a copy of an SQLite database, and ``undo.json``,
the commands that take back what is elsewhere, such as a scratch database on a server.
"""

import json
import os
import signal

from handrail.agent.commands import run
from handrail.agent.files import cannot_be_deleted, read_json, remove_tree, write_atomic
from handrail.agent.processes import process_folder

NAME = "rehearsal"


def sweep(app):
    """Undo and delete the rehearsal of this app, if there is one; return a sentence where something stays, or ""."""
    folder = app.path(NAME)
    if not os.path.isdir(folder):
        return ""
    try:
        return sweep_folder(app, folder)
    except OSError as error:
        # What a migration wrote there as somebody else is in nobody's way.
        return cannot_be_deleted("%s, which a dry run left," % folder, error)


def sweep_folder(app, folder):
    end_processes(folder)
    notes = known(app)
    left = [note for note in notes if run(note["argv"], 30, env=dict(os.environ, **note["env"]))[0] != 0]
    if notes:
        write(app, left)
    stays = None
    for name in os.listdir(folder):
        if name != "undo.json":
            try:
                remove_tree(os.path.join(folder, name))
            except OSError as error:
                stays = error
    if stays:
        raise stays
    if left:
        return "%s of a dry run is still there; the next run tries again" % left[0]["what"]
    remove_tree(folder)
    return ""


def remember(app, notes):
    """Add how to take back what a rehearsal makes outside its folder: ``[{"what", "argv", "env"}]``.

    What an earlier one left on a server that could not be asked since is still known.
    """
    write(app, known(app) + notes)


def known(app):
    return read_json(app.path(NAME, "undo.json")) or []


def write(app, notes):
    write_atomic(app.path(NAME, "undo.json"), json.dumps(notes))


def end_processes(folder):
    """Kill what still runs in a rehearsal's release, such as a migration whose agent was killed."""
    inside = os.path.realpath(folder) + os.sep
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        if entry.isdigit() and (process_folder(int(entry)) + os.sep).startswith(inside):
            try:
                os.kill(int(entry), signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
