"""An SQLite database and its copy, made by SQLite's own online backup while the service goes on writing."""

import os
from contextlib import closing

from handrail.agent.machine import disk
from handrail.agent.refusal import Refused

# A table that a migration rebuilds is there twice, beside the copy itself.
ROOM = 2
CHUNK_PAGES = 4096
MOST_RESTARTS = 5


class Sqlite:
    """The database in a file; ``path`` is where the original is."""

    def __init__(self, app, folder, request):
        self.app = app
        self.scheme, self.query = request["scheme"], request["query"]
        self.path = self.find(request["path"], request["shared"])
        self.target = os.path.join(folder, "copy.sqlite3")
        self.folder = folder

    def find(self, path, shared):
        """Return the file that ``path`` names, seen from a release's folder."""
        if os.path.isabs(path):
            return path
        for relative in shared:
            if path == relative or path.startswith(relative + "/"):
                return self.app.path("shared", path)
        # A file in the release's own folder, which the next release does not have.
        return ""

    def look(self, reserve_bytes):
        try:
            import sqlite3  # noqa: F401 - asked for, because some Pythons are built without it
        except ImportError:
            raise Refused("tools", "this host's Python has no sqlite3 module to copy the database with") from None
        exists = bool(self.path) and os.path.exists(self.path)
        size = os.path.getsize(self.path) if exists else 0
        if exists and os.path.exists(self.path + "-wal"):
            size += os.path.getsize(self.path + "-wal")
        free, need = disk(self.app.folder)["free"], size * ROOM + reserve_bytes
        if free < need:
            raise Refused(
                "disk-full",
                "the disk of %s has %.1f MiB free; a copy of the database (%.1f MiB) and its migration need %.1f MiB "
                "and the reserve of %d MiB"
                % (self.app.folder, free / 2**20, size / 2**20, size * ROOM / 2**20, reserve_bytes >> 20),
            )
        remark = ""
        if not self.path:
            remark = "it is in the release's own folder, so that every release begins with an empty one"
        elif not exists:
            remark = "%s does not exist yet: the rehearsal begins with an empty database" % self.path
        name = os.path.basename(self.path) if exists else ""
        return {"name": name, "version": "", "bytes": size, "free": free, "remark": remark}

    def nowhere(self):
        return self.address(os.path.join(self.folder, "nowhere", "none.sqlite3"))

    def url(self):
        return self.address(self.target)

    def address(self, path):
        return "%s:///%s%s" % (self.scheme, path, "?" + self.query if self.query else "")

    def undo(self):
        return []

    def copy(self, stop):
        import sqlite3

        # The copy holds what the original holds: nobody else may read it.
        os.close(os.open(self.target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        if not self.path or not os.path.exists(self.path):
            return
        seen = {"left": None, "restarts": 0}

        def progress(_status, left, _total):
            if stop.is_set():
                raise Refused("cut", "the copy was stopped")
            if seen["left"] is not None and left > seen["left"]:
                seen["restarts"] += 1
                if seen["restarts"] > MOST_RESTARTS:
                    raise Restarted
            seen["left"] = left

        try:
            with closing(connect(self.path)) as source, closing(sqlite3.connect(self.target)) as target:
                # In pieces writers are never kept waiting; but each write begins the copy anew.
                is_wal = source.execute("pragma journal_mode").fetchone()[0] == "wal"
                try:
                    source.backup(target, pages=-1 if is_wal else CHUNK_PAGES, progress=progress, sleep=0.01)
                except Restarted:
                    source.backup(target)
        except sqlite3.Error as error:
            raise Refused("copy", "the database %s cannot be copied: %s" % (self.path, error)) from None

    def schema(self):
        """Return the lines that make each object of the schema, by what it is and its name."""
        found = {}
        for kind, name, table, sql in self.ask(
            "select type, name, tbl_name, sql from sqlite_master where name not like 'sqlite\\_%' escape '\\' "
            "order by tbl_name, type != 'table', name"
        ):
            what = "%s %s" % (kind, name) + (" on %s" % table if kind in ("index", "trigger") else "")
            found[what] = split_table(sql) if kind == "table" else (sql or "").splitlines()
        return found

    def rows(self):
        tables = [name for (name,) in self.ask("select name from sqlite_master where type = 'table' order by name")]
        counts = {}
        for name in tables:
            if not name.startswith("sqlite_"):
                counted = self.ask('select count(*) from "%s"' % name.replace('"', '""'))  # noqa: S608 - quoted
                counts[name] = counted[0][0] if counted else None
        return counts

    def ask(self, sql):
        import sqlite3

        with closing(connect(self.target)) as connection:
            try:
                return connection.execute(sql).fetchall()
            except sqlite3.OperationalError:
                return []  # a virtual table whose module only the service has


class Restarted(Exception):
    """The original was written so often that a copy in pieces does not come to an end."""


def connect(path):
    """Open a database to read it alone."""
    import sqlite3

    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect("file:%s?mode=ro" % quoted, uri=True, timeout=30)


def split_table(sql):
    """Return a CREATE TABLE as lines: one a column or constraint, so that a difference shows what changed."""
    lines, line, depth, quoted = [], "", 0, ""
    for character in " ".join(sql.split()):
        if quoted:
            quoted = "" if character == quoted else quoted
        elif character in "'\"`":
            quoted = character
        elif character == "(":
            depth += 1
            if depth == 1:
                lines.append(line.strip() + " (")
                line = ""
                continue
        elif character == ")":
            depth -= 1
            if depth == 0:
                lines.append("    " + line.strip())
                line = ")"
                continue
        elif character == "," and depth == 1:
            lines.append("    " + line.strip() + ",")
            line = ""
            continue
        line += character
    return [each for each in [*lines, line.strip()] if each.strip()]
