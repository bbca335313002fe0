"""``inv db.plan`` against real databases: it says what a migration would do, and nothing has changed afterwards."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from handrail.testing.host import wait_until
from handrail.testing.project import finish
from handrail.testing.sshd import SshdHost

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# Migrations as a project without a framework has them: `user_version` is the state.
SCHEMA = """\
import os
import pathlib
import sqlite3
import sys
import time

connection = sqlite3.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:///"))
UP = {
    1: ["create table notes (id integer primary key, text text not null)", "insert into notes (text) values ('one')"],
}
DOWN = {}
# next
version = connection.execute("pragma user_version").fetchone()[0]
if sys.argv[1] == "state":
    print(version)
elif sys.argv[1] == "up":
    for number in range(version + 1, max(UP) + 1):
        print("applying", number)
        for statement in UP[number]:
            connection.execute(statement)
        connection.execute("pragma user_version = %d" % number)
else:
    for number in range(version, int(sys.argv[2]), -1):
        for statement in DOWN[number]:
            connection.execute(statement)
        connection.execute("pragma user_version = %d" % (number - 1))
connection.commit()
"""
SECOND = """\
UP[2] = ["alter table notes add column author text", "create index notes_author on notes (author)",
         "create table tags (name text)", "insert into tags values ('a'), ('b')", "delete from notes"]
DOWN[2] = ["drop table tags", "drop index notes_author", "alter table notes drop column author"]
"""
SERVICE = {
    "migrate": "python3 schema.py up",
    "migrate_state": "python3 schema.py state",
    "migrate_down": "python3 schema.py down {state}",
    "database": "DATABASE_URL",
    "shared": ["data"],
}


def everything(host: SshdHost, app: str) -> dict[str, bytes]:
    """Return each file of the app's folder but its logs, and the store, which the next deploy takes up."""
    folder = Path(host.home, "apps", app)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".log" and path.relative_to(folder).parts[0] not in ("store", "lock")
    }


def test_a_migration_of_sqlite_is_tried_on_a_copy_and_leaves_no_trace(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host, service=SERVICE)
    project.write("env/test.env", "DATABASE_URL=sqlite:///data/app.db\n")
    project.write("schema.py", SCHEMA)
    project.release("one")
    project.deploy()
    before = everything(sshd_host, project.app)

    project.write("schema.py", SCHEMA.replace("# next", SECOND))
    project.release("two")
    done = project.inv("db.plan", "--env", "test", "--json")
    assert done.returncode == 0, done
    told = done.document
    assert told["state"] == {"before": "1", "after": "2"}
    assert told["schema_diff"][2:] == [
        "@@ index notes_author on notes (new) @@",
        "+CREATE INDEX notes_author on notes (author)",
        "@@ table notes @@",
        " CREATE TABLE notes (",
        "     id integer primary key,",
        "-    text text not null",
        "+    text text not null,",
        "+    author text",
        " )",
        "@@ table tags (new) @@",
        "+CREATE TABLE tags (",
        "+    name text",
        "+)",
    ]
    assert told["rows"] == [
        {"table": "notes", "before": 1, "after": 0},
        {"table": "tags", "before": None, "after": 2},
    ]
    assert told["reversible"]["verdict"] == "proved"
    assert told["reversible"]["schema_diff"] == []
    assert told["reversible"]["rows"] == [{"table": "notes", "before": 1, "after": 0}]
    assert everything(sshd_host, project.app) == before
    assert project.status()["state"] == "ok"

    # A project that takes its database from somewhere else would have migrated the real one.
    real = Path(sshd_host.home, "apps", project.app, "shared", "data", "app.db")
    project.write("schema.py", SCHEMA.replace("# next", SECOND).replace('os.environ["DATABASE_URL"]', f'"{real}"'))
    project.commit("the variable is not asked")
    done = project.inv("db.plan", "--env", "test")
    assert done.returncode == 3, done
    assert "takes its database from somewhere else" in done.stderr
    assert everything(sshd_host, project.app) == before

    # The client dies while the copy is migrated.
    project.write("schema.py", SCHEMA.replace("# next", "UP[2] = []; time.sleep(600 * (sys.argv[1] == 'up'))"))
    project.commit("a slow migration")
    client = project.start("db.plan", "--env", "test")
    wait_until(lambda: any("schema.py up" in line for line in sshd_host.processes().values()), "the migration", 60)
    os.killpg(client.pid, signal.SIGKILL)
    finish(client)
    wait_until(lambda: everything(sshd_host, project.app) == before, "the copy to go")
    wait_until(lambda: not any("schema.py" in line for line in sshd_host.processes().values()), "the migration to end")
    assert project.status()["state"] == "ok"
