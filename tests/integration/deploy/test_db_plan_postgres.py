"""``inv db.plan`` with Alembic and a real PostgreSQL server."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from handrail.testing.host import free_port, wait_until
from handrail.testing.postgres import PostgresServer
from handrail.testing.project import DeployProject, finish
from handrail.testing.sshd import SshdHost
from handrail.testing.tiny import SERVICE

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ENV = """\
import os

from alembic import context
from sqlalchemy import create_engine

with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
VERSION = """\
from alembic import op

revision, down_revision = {name!r}, {before!r}


def upgrade():
    op.execute({up!r})


def downgrade():
    op.execute({down!r})
"""


class AlembicProject(DeployProject):
    """A service beside a database that Alembic migrates."""

    def __init__(self, folder: Path, host: SshdHost, url: str, cache: Path) -> None:
        service = {
            "command": "python serve.py",
            "port": free_port(),
            "health": "/healthz",
            "migrate": "alembic upgrade head",
            "migrate_state": "alembic current",
            "migrate_down": "alembic downgrade {state}",
            "database": "DATABASE_URL",
        }
        super().__init__(folder, "notes-pg", [host], {"service": service}, cache=cache)
        self.write("env/test.secrets.env", f"DATABASE_URL={url.replace('postgresql:', 'postgresql+psycopg:')}\n")
        (folder / "env" / "test.secrets.env").chmod(0o600)
        self.write("requirements.txt", "alembic\npsycopg[binary]\n")
        self.write("alembic.ini", "[alembic]\nscript_location = migrations\n")
        self.write("migrations/env.py", ENV)
        self.write("serve.py", SERVICE)

    def version(self, name: str, before: str | None, up: str, down: str) -> None:
        """Commit one migration."""
        text = VERSION.format(name=name, before=before, up=up, down=down)
        self.write(f"migrations/versions/{name}.py", text)
        self.commit(name)


def test_a_migration_of_postgresql_is_tried_on_a_copy_that_goes_away_whatever_dies(
    sshd_host: SshdHost, postgres_server: PostgresServer, tmp_path: Path, wheel_cache: Path
) -> None:
    url = postgres_server.database("notes")
    password = url.split(":")[2].partition("@")[0]
    project = AlembicProject(tmp_path / "notes", sshd_host, url, wheel_cache)

    def databases() -> list[str]:
        return postgres_server.query("select datname from pg_database where not datistemplate order by 1")

    def columns() -> list[str]:
        query = "select column_name from information_schema.columns where table_name = 'notes' order by 1"
        return postgres_server.query(query, "notes")

    project.version(
        "a1",
        None,
        "create table notes (id serial primary key, text text not null);"
        "create table tags (name text); insert into tags values ('x'), ('y');"
        "alter database notes set search_path = public, pg_catalog",
        "drop table notes, tags",
    )
    project.deploy()
    before = databases()

    up = "alter table notes add author text; create index notes_author on notes (author); delete from tags"
    project.version("b2", "a1", up, "alter table notes drop author")
    # Somebody is connected to the original, as the service is: it cannot be a template for its copy.
    with subprocess.Popen(["psql", "--quiet"], env=connection_of(url), stdin=subprocess.PIPE, text=True) as visitor:
        wait_until(lambda: "notes" in postgres_server.query("select datname from pg_stat_activity"), "the visitor")
        done = project.inv("db.plan", "--env", "test", "--json")
        visitor.communicate("")
    assert done.returncode == 0, done
    told = done.document
    assert told["database"]["kind"] == "postgresql"
    assert told["state"] == {"before": "a1", "after": "b2"}
    assert told["schema_diff"][2:] == [
        "@@ index notes_author (new) @@",
        "+CREATE INDEX notes_author ON public.notes USING btree (author);",
        "@@ table notes @@",
        " CREATE TABLE public.notes (",
        "     id integer NOT NULL,",
        "-    text text NOT NULL",
        "+    text text NOT NULL,",
        "+    author text",
        " );",
    ]
    assert told["rows"] == [{"table": "tags", "before": 2, "after": 0}]
    assert told["reversible"]["verdict"] == "proved"
    assert told["reversible"]["rows"] == told["rows"]
    assert password not in done.stdout + done.stderr
    assert databases() == before
    assert columns() == ["id", "text"]
    assert not Path(sshd_host.home, "apps", "notes-pg", "rehearsal").exists()

    project.version("c3", "b2", "select pg_sleep(600)", "select 1")
    client = project.start("db.plan", "--env", "test")
    sleeps = "select datname from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()"
    wait_until(lambda: postgres_server.query(sleeps), "the migration of the copy", 60)
    for pid, line in sshd_host.processes().items():
        if "handrail-agent" in line:
            os.kill(pid, signal.SIGKILL)
    ended = finish(client)
    assert ended.returncode == 3, ended
    assert len(databases()) == len(before) + 1

    # Whoever takes the lock next sweeps. Here it is a rehearsal that the service's user may not make.
    postgres_server.query("alter role notes nocreatedb")
    done = project.inv("db.plan", "--env", "test")
    assert done.returncode == 3, done
    assert "ALTER ROLE" in done.stderr
    assert password not in done.stdout + done.stderr
    assert databases() == before
    assert not postgres_server.query("select 1 from pg_stat_activity where datname like 'handrail_plan%'")
    assert columns() == ["id", "text"]
    assert project.status()["state"] == "ok"


def connection_of(url: str) -> dict[str, str]:
    """Return the variables with which PostgreSQL's programs find the database of a URL."""
    user, _, rest = url.removeprefix("postgresql://").partition(":")
    password, _, place = rest.partition("@")
    host, _, port = place.partition("/")[0].partition(":")
    return {
        "PATH": os.defpath,
        "PGHOST": host,
        "PGPORT": port,
        "PGUSER": user,
        "PGPASSWORD": password,
        "PGDATABASE": user,
    }
