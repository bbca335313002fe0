"""Requests that hand a good release to another host by way of the client: what it is made of, byte for byte."""

import os

from handrail.agent.files import read_json
from handrail.agent.locking import must_hold_lock
from handrail.agent.refusal import Refused
from handrail.agent.schema import declared_irreversible

FRAME = 1 << 17


def export(agent, request, _payload):
    """Return a good release without its objects: manifest, launchers, settings and links to shared data.

    Its settings hold secrets. They leave this host as they came: over the session, never as an argument or a file.
    """
    must_hold_lock(agent)
    release = request["release"]
    if release not in agent.app.good_releases():
        raise Refused("bad-request", "release %s is not kept here" % release)
    meta = agent.app.release(release, ".handrail")
    launchers = {name[4:]: exact_text(os.path.join(meta, name)) for name in os.listdir(meta) if name.startswith("run-")}
    return {
        "manifest": read_json(os.path.join(meta, "manifest.json")),
        "variables": read_json(os.path.join(meta, "variables.json")) or {},
        "env": exact_text(os.path.join(meta, "env")),
        "launchers": launchers,
        "shared": shared_links(agent.app, release),
        "irreversible": declared_irreversible(agent.app, release),
    }


def exact_text(path):
    """Return a file's text so that writing it gives the same bytes, whatever they are."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
        return stream.read()


def shared_links(app, release):
    """Return the release's paths that lead to ``shared/``, sorted."""
    top, shared = app.release(release), app.path("shared") + os.sep
    found = []
    for folder, folders, files in os.walk(top):
        if folder == top:
            folders[:] = [name for name in folders if name not in (".handrail", ".venv")]
        for path in (os.path.join(folder, name) for name in folders + files):
            if os.path.islink(path) and os.readlink(path).startswith(shared):
                found.append(os.path.relpath(path, top))
    return sorted(found)


def fetch(agent, request, _payload):
    """Send objects of the store, one after the other, as one stream of bytes."""
    must_hold_lock(agent)
    for digest, size in request["objects"]:
        if not agent.app.has_object(digest, size):
            raise Refused("gone", "object %s is no longer in the store" % digest[:12])
        with open(agent.app.object_path(digest), "rb") as stream:
            while True:
                data = stream.read(FRAME)
                if not data or agent.stop.is_set():
                    break
                agent.deliver(data)
    return {}


def note(agent, request, _payload):
    """Record an event of the fleet in this host's history; see `App.note`."""
    must_hold_lock(agent)
    good = [entry["deploy"] for entry in agent.app.history() if entry.get("result") == "good" and entry.get("deploy")]
    # What it changes is what the last deploy or rollback here has said of the fleet.
    agent.app.note(request["event"], request["what"], request["by"], of=good[-1] if good else "", **request["facts"])
    return {}
