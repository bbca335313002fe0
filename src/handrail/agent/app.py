"""The app's folder on this host: pure file operations, no protocol."""

import contextlib
import json
import os
import re
import time

from handrail.agent.ballast import FULL
from handrail.agent.files import cannot_be_deleted, entries, read_json, read_text, remove_file, remove_tree, sync
from handrail.agent.refusal import Refused

RELEASE_ID = re.compile(r"^[0-9]+-[0-9a-z][0-9a-z.-]*$")


class App:
    """What is on this host for one app: pure file operations, no protocol."""

    def __init__(self, root, name):
        self.name = name
        self.folder = os.path.join(os.path.expanduser(root), name)
        self.releases = self.path("releases")
        self.current = self.path("current")
        self.store = self.path("store")
        self.tx = self.path("tx")

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def release(self, release, *parts):
        if not RELEASE_ID.match(release):
            raise Refused("bad-request", "%r is not a release id" % release)
        return os.path.join(self.releases, release, *parts)

    def make_folders(self):
        for folder in (
            self.folder,
            self.releases,
            self.path("shared"),
            self.path("shared", "log"),
            self.store,
        ):
            os.makedirs(folder, mode=0o755, exist_ok=True)
        os.makedirs(os.path.join(self.store, "objects"), exist_ok=True)

    def current_release(self):
        return release_at(self.current)

    def history(self):
        """Return what deploys and rollbacks recorded, oldest first."""
        return self.history_and_events()[0]

    def history_and_events(self):
        """Return what deploys and rollbacks recorded, and what else was done to the app; no event is a release."""
        recorded = self.recorded()
        return [e for e in recorded if "event" not in e], [e for e in recorded if "event" in e]

    def note(self, event, what, by, **facts):
        """Record an event. What has been done stands, so a disk that is full is no reason to fail.

        Args:
            by: ``who`` did it, and in which ``run``, the same one on all hosts.
        """
        entry = dict(by, event=event, what=what, serves=self.current_release(), finished=time.time())
        entry.update(facts)
        with contextlib.suppress(OSError):
            self.record(entry)

    def recorded(self):
        entries = []
        for line in read_text(self.path("history.jsonl")).splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # a line that a power cut left half written
            if isinstance(entry, dict):
                entries.append(entry)
        return entries

    def record(self, entry):
        line = json.dumps(entry, sort_keys=True) + "\n"
        path = self.path("history.jsonl")
        with open(path, "ab+") as stream:
            stream.seek(0, os.SEEK_END)
            if stream.tell():
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":
                    line = "\n" + line
            stream.write(line.encode())
            stream.flush()
            os.fsync(stream.fileno())

    def make_room(self, release, work):
        """Do ``work``; where the disk is full, give up the failed release's folder for it and do it again."""
        try:
            work()
        except OSError as error:
            if error.errno not in FULL:
                raise
            # Of a folder that may not be deleted whole, a part is room, too.
            with contextlib.suppress(OSError):
                self.delete(release)
            work()

    def delete(self, release):
        """Delete a release's folder; one that a kill leaves half deleted is complete no longer."""
        folder = os.path.join(self.releases, release)
        if not os.path.islink(folder):
            remove_file(os.path.join(folder, ".handrail", "state"))
        remove_tree(folder)

    def try_to_delete(self, releases):
        """Delete releases; return those that are gone, and a sentence on each that this user may not delete.

        Such a one must not keep a host from its next deploy, nor from its way back.
        """
        gone, stay = [], []
        for release in releases:
            try:
                self.delete(release)
                gone.append(release)
            except OSError as error:
                stay.append(cannot_be_deleted(os.path.join(self.releases, release), error))
        return gone, stay

    def is_complete(self, release):
        return read_text(self.release(release, ".handrail", "state")).strip() == "complete"

    def good_releases(self, history=None):
        """Return ids that were committed and are still whole, oldest first, in the history's order.

        ``history``: where it has been read.
        """
        order = []
        for entry in self.history() if history is None else history:
            if entry.get("result") == "good" and RELEASE_ID.match(str(entry.get("release"))):
                if entry["release"] in order:
                    order.remove(entry["release"])
                order.append(entry["release"])
        return [release for release in order if self.is_complete(release)]

    def last_number(self, history):
        """Return the highest release number that this host has seen, whatever became of it."""
        names = [str(entry.get("release", "")) for entry in history]
        names += os.listdir(self.releases) if os.path.isdir(self.releases) else []
        names.append((read_json(os.path.join(self.tx, "state.json")) or {}).get("release", ""))
        return max([int(name.split("-")[0]) for name in names if RELEASE_ID.match(name)] or [0])

    def switch(self, release):
        """Point ``current`` at a release: one rename of a uniquely named link, then read back."""
        if release:
            point(self.current, os.path.join("releases", release))
        else:
            if os.path.islink(self.current):
                os.unlink(self.current)
            sync(self.folder)
        if self.current_release() != release:
            raise Refused("switch", "current points at %r after switching to %r" % (self.current_release(), release))

    def slot_release(self, slot):
        """Return the release that a slot's link names, or ""."""
        return release_at(self.path("slots", slot))

    def link_slot(self, slot, release):
        """Point a slot at a release; like `switch`, one rename."""
        os.makedirs(self.path("slots"), exist_ok=True)
        point(self.path("slots", slot), os.path.join("..", "releases", release))
        if self.slot_release(slot) != release:
            raise Refused("switch", "slot %s points at %r" % (slot, self.slot_release(slot)))

    def link_jobs(self, release):
        """Point ``jobs``, the release that periodic jobs run, at a release, or at none; like `switch`, one rename."""
        link = self.path("jobs")
        if release:
            point(link, os.path.join("releases", release))
        elif os.path.islink(link):
            os.unlink(link)

    def jobs_release(self):
        """Return the release that periodic jobs run, or ""."""
        return release_at(self.path("jobs"))

    def sweep(self, keep_release=""):
        """Delete leftovers: half-made releases, temporary links and half-written objects.

        Returns the releases, and sentences on those that could not be deleted.
        """
        for folder in (self.folder, self.path("slots"), *entries(os.path.join(self.store, "objects"))):
            for path in entries(folder, end=".tmp"):
                os.unlink(path)
        for path in entries(self.folder, "tx.", ".done"):
            remove_tree(path)
        known = set(os.listdir(self.releases)) if os.path.isdir(self.releases) else set()
        return self.try_to_delete(sorted(known - {self.current_release(), keep_release, *self.good_releases()}))

    def prune(self, keep, keep_release=""):
        """Keep the running release and ``keep`` good ones beside it.

        Returns the releases that were deleted, and sentences on those that could not be.
        """
        current = self.current_release()
        others = [r for r in self.good_releases() if r not in (current, keep_release)]
        return self.try_to_delete(others[: max(0, len(others) - keep)])

    def collect_garbage(self, wanted):
        """Delete objects that no kept release needs and ``wanted`` does not name; return how many bytes that freed."""
        used = set(wanted)
        for release in os.listdir(self.releases):
            manifest = read_json(os.path.join(self.releases, release, ".handrail", "manifest.json")) or {}
            used.update(member.get("sha256") for member in manifest.get("members", []))
        freed = 0
        for folder in os.scandir(os.path.join(self.store, "objects")):
            for entry in os.scandir(folder.path):
                if entry.name.split(".")[0] not in used:
                    freed += entry.stat().st_size
                    os.unlink(entry.path)
        for kind in ("wheels", "tools"):
            for path in entries(os.path.join(self.store, kind)):
                if os.path.basename(path) not in used:
                    remove_tree(path)
        return freed

    def object_path(self, digest):
        return os.path.join(self.store, "objects", digest[:2], digest)

    def has_object(self, digest, size):
        try:
            return os.stat(self.object_path(digest)).st_size == size
        except OSError:
            return False


def release_at(link):
    """Return the release that a link names, or ""."""
    try:
        return os.path.basename(os.readlink(link))
    except OSError:
        return ""


def point(link, target):
    """Point a link somewhere else: one rename of a uniquely named one."""
    temporary = "%s.%d.%d.tmp" % (link, os.getpid(), time.monotonic_ns())
    os.symlink(target, temporary)
    os.rename(temporary, link)
    sync(os.path.dirname(link))
