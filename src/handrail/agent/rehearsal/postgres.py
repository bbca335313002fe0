"""A PostgreSQL database and its copy: a scratch database on the same server, filled by ``pg_dump | psql``.

Credentials go to PostgreSQL's programs as variables (``PGPASSWORD``), never as arguments.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

from handrail.agent.machine import disk
from handrail.agent.refusal import Refused

PROGRAMS = ("psql", "pg_dump")
# The copy, its indexes, and a table that a migration rebuilds.
ROOM = 2
# Subscriptions would begin to replicate; owners and rights would need roles that this user may not act for.
DUMP = ["pg_dump", "--no-password", "--no-owner", "--no-privileges", "--no-tablespaces", "--no-subscriptions",
        "--no-publications", "--lock-wait-timeout=10s"]  # fmt: skip
PSQL = ["psql", "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
DATABASE = re.compile(r'^(CREATE|ALTER) DATABASE ("(?:[^"]|"")*"|\S+) ((?:WITH|SET) .*;)$')
ENTRY = re.compile(r"^-- Name: (.*); Type: (.*); Schema: (.*); Owner:.*$")
TABLES = """
    select format('select json_build_array(%L, (select count(*) from %I.%I))',
                  case n.nspname when 'public' then '' else n.nspname || '.' end || c.relname, n.nspname, c.relname)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    order by 1 \\gexec
"""
FACTS = """
    select json_build_object(
        'name', current_database(), 'user', current_user, 'version', current_setting('server_version'),
        'bytes', pg_database_size(current_database()),
        'may_create', (select rolcreatedb or rolsuper from pg_roles where rolname = current_user),
        'here', inet_server_addr() is null or inet_server_addr() = inet_client_addr(),
        'folder', case when pg_has_role(current_user, 'pg_read_all_settings', 'member')
                       then current_setting('data_directory') end)
"""


class Postgres:
    """The database behind a URL, and a scratch database with a name of its own."""

    def __init__(self, app, _folder, request):
        self.app = app
        self.parts = request["parts"]
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        self.environment.update(request["environment"], PGCONNECT_TIMEOUT="10", PGAPPNAME="handrail db.plan")
        self.scratch = request["scratch"]

    def look(self, reserve_bytes):
        lacks = [name for name in PROGRAMS if not shutil.which(name)]
        if lacks:
            raise Refused(
                "tools",
                "%s %s not on this host's PATH, and the copy is made with %s; "
                "on Debian and Ubuntu: apt-get install postgresql-client"
                % (" and ".join(lacks), "is" if len(lacks) == 1 else "are", "it" if len(lacks) == 1 else "them"),
            )
        facts = json.loads(self.ask(FACTS))
        if not facts["may_create"]:
            raise Refused(
                "rights",
                "user %s may not create the database for the copy; a superuser allows it with: ALTER ROLE %s CREATEDB"
                % (facts["user"], json.dumps(facts["user"])),
            )
        free = self.room(facts)
        need = facts["bytes"] * ROOM + reserve_bytes
        if free is not None and free < need:
            raise Refused(
                "disk-full",
                "the database server's disk has %.1f MiB free; a copy of %s (%.1f MiB) and its migration need %.1f MiB "
                "and the reserve of %d MiB"
                % (free / 2**20, facts["name"], facts["bytes"] / 2**20, need / 2**20, reserve_bytes >> 20),
            )
        remark = "" if free is not None else "the free disk of its server cannot be seen from here"
        version = facts["version"].split()[0]
        return {"name": facts["name"], "version": version, "bytes": facts["bytes"], "free": free, "remark": remark}

    def room(self, facts):
        """Return the free bytes where the server keeps its data, or None where that cannot be seen."""
        if not facts["here"]:
            return None
        for folder in [facts["folder"], *glob.glob("/var/lib/postgresql")]:
            if folder and os.path.isdir(folder):
                return disk(folder)["free"]
        return None

    def nowhere(self):
        return self.address(self.scratch + "_nowhere")

    def url(self):
        return self.address(self.scratch)

    def address(self, database):
        return self.parts["before"] + database + self.parts["after"]

    def undo(self):
        # Its name is our own: letters, digits and "_".
        sql = ["select pg_terminate_backend(pid) from pg_stat_activity where datname = '%s'" % self.scratch]  # noqa: S608
        sql.append('drop database if exists "%s"' % self.scratch)
        variables = {k: v for k, v in self.environment.items() if k.startswith("PG")}
        argv = [*PSQL, *("--command=" + each for each in sql)]
        return [{"what": "the scratch database %s" % self.scratch, "argv": argv, "env": variables}]

    def copy(self, stop):
        self.create()
        began = time.monotonic()
        with tempfile.TemporaryFile() as dump_said, tempfile.TemporaryFile() as psql_said:
            dump = subprocess.Popen(
                DUMP, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=dump_said
            )
            fill = subprocess.Popen(
                [*PSQL, "--single-transaction", "--file=-"],
                env=dict(self.environment, PGDATABASE=self.scratch),
                stdin=dump.stdout,
                stdout=subprocess.DEVNULL,
                stderr=psql_said,
            )
            dump.stdout.close()
            try:
                while fill.poll() is None or dump.poll() is None:
                    if stop.wait(0.02):
                        raise Refused("cut", "the copy was stopped after %.0f s" % (time.monotonic() - began))
            finally:
                for process in (dump, fill):
                    if process.poll() is None:
                        process.kill()
                        process.wait()
            # psql's word first: where it ends, pg_dump only says that nobody listens.
            for process, said, name in ((fill, psql_said, "psql"), (dump, dump_said, "pg_dump")):
                if process.returncode != 0:
                    said.seek(0)
                    lines = said.read().decode("utf-8", "replace").splitlines()
                    raise Refused(
                        "copy", "the copy cannot be made: %s" % (lines[0] if lines else "no word from " + name),
                        command=name, returncode=process.returncode, lines=lines[-20:],
                    )  # fmt: skip

    def create(self):
        """Make the scratch database as the original was made: encoding, locale, settings."""
        text = self.call([*DUMP, "--create", "--schema-only"]).splitlines()
        for verb, _name, rest in (match.groups() for match in map(DATABASE.match, text) if match):
            self.ask('%s DATABASE "%s" %s' % (verb, self.scratch, rest))

    def schema(self):
        """Return the lines that make each object of the copy's schema, by what it is and its name."""
        text = self.call([*DUMP, "--schema-only"], PGDATABASE=self.scratch)
        found, lines = {}, []
        for line in text.splitlines():
            match = ENTRY.match(line)
            if match:
                name, kind, schema = match.groups()
                name = name if schema in ("public", "-") else "%s.%s" % (schema, name)
                lines = found.setdefault("%s %s" % (kind.lower(), name), [])
            elif line.strip() and not line.startswith(("--", "\\", "SET default_")):
                lines.append(line)
        return found

    def rows(self):
        answer = self.call([*PSQL, "--file=-"], TABLES, PGDATABASE=self.scratch)
        return dict(json.loads(line) for line in answer.splitlines() if line.strip())

    def ask(self, sql):
        return self.call([*PSQL, "--file=-"], sql)

    def call(self, argv, text="", **environment):
        """Run one of PostgreSQL's programs and return what it printed."""
        try:
            done = subprocess.run(
                argv,
                env=dict(self.environment, **environment),
                input=text.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=600,
            )
        except subprocess.TimeoutExpired:
            raise Refused("copy", "%s did not end within 600 s" % argv[0]) from None
        if done.returncode != 0:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no word from it"]
            why = lines[0] if lines[0].startswith(argv[0]) else "%s: %s" % (argv[0], lines[0])
            raise Refused("copy", why, command=argv[0], returncode=done.returncode, lines=lines[-20:])
        return done.stdout.decode("utf-8", "replace")
