"""The parts of a rehearsal on a host, with real SQLite files and without a server."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from handrail.agent import leftovers
from handrail.agent.app import App
from handrail.agent.files import remove_tree
from handrail.agent.refusal import Refused
from handrail.agent.rehearsal import postgres, sqlite

pytestmark = pytest.mark.unit

GIB = 1 << 30


@pytest.fixture
def app(tmp_path: Path) -> App:
    app = App(str(tmp_path), "shop")
    app.make_folders()
    Path(app.path("rehearsal")).mkdir()
    return app


def database(app: App, path: str = "data/app.db", shared: tuple[str, ...] = ("data",)) -> sqlite.Sqlite:
    request = {"scheme": "sqlite+pysqlite", "query": "timeout=5", "path": path, "shared": list(shared)}
    return sqlite.Sqlite(app, app.path("rehearsal"), request)


def original(app: App, *statements: str) -> Path:
    path = Path(app.path("shared", "data", "app.db"))
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return path


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_copy_holds_what_was_committed_while_others_write(app: App, mode: str) -> None:
    path = original(app, f"pragma journal_mode = {mode}", "create table notes (text)", "insert into notes values ('a')")
    writer = sqlite3.connect(path)
    writer.execute("insert into notes values ('not committed')")
    copy = database(app)
    assert copy.look(0)["name"] == "app.db"
    copy.copy(threading.Event())
    writer.commit()
    writer.close()
    assert copy.rows() == {"notes": 1}
    assert copy.url() == f"sqlite+pysqlite:///{app.path('rehearsal')}/copy.sqlite3?timeout=5"
    assert Path(app.path("rehearsal", "copy.sqlite3")).stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_not_there_yet_is_an_empty_database(app: App) -> None:
    copy = database(app)
    assert "does not exist yet" in copy.look(0)["remark"]
    copy.copy(threading.Event())
    assert (copy.schema(), copy.rows()) == ({}, {})


def test_a_relative_file_that_is_not_shared_is_remarked_on(app: App) -> None:
    assert "every release begins with an empty one" in database(app, "app.db").look(0)["remark"]


def test_a_copy_that_the_disk_has_no_room_for_is_refused(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    original(app, "create table notes (text)")
    monkeypatch.setattr(sqlite, "disk", lambda _folder: {"free": 1 << 20})
    database(app).look(0)
    with pytest.raises(Refused, match=r"has 1\.0 MiB free; a copy of the database .* and the reserve of 1 MiB"):
        database(app).look(1 << 20)


def test_a_file_that_is_no_database_is_refused(app: App) -> None:
    original(app).write_text("words" * 1000)
    with pytest.raises(Refused, match="cannot be copied: file is not a database"):
        database(app).copy(threading.Event())


def test_a_table_is_shown_a_line_for_each_column_and_constraint() -> None:
    sql = """CREATE TABLE "a,b" (id integer, price numeric(10, 2) default '(,',\n check (id in (1, 2))) STRICT"""
    assert sqlite.split_table(sql) == [
        'CREATE TABLE "a,b" (',
        "    id integer,",
        "    price numeric(10, 2) default '(,',",
        "    check (id in (1, 2))",
        ") STRICT",
    ]


def server(app: App, **facts: Any) -> postgres.Postgres:
    request = {"parts": {}, "environment": {"PGPASSWORD": "very secret"}, "scratch": "handrail_plan_1"}
    found = postgres.Postgres(app, "", request)
    told = {"name": "shop", "user": "shop", "version": "15.1 (Debian)", "bytes": GIB, "may_create": True, "here": True}
    found.ask = lambda _sql: json.dumps({**told, "folder": app.folder, **facts})  # type: ignore[method-assign]
    return found


def test_a_server_without_room_is_refused_where_its_disk_can_be_seen(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres.shutil, "which", lambda name: name)
    monkeypatch.setattr(postgres, "disk", lambda _folder: {"free": GIB})
    with pytest.raises(Refused, match=r"has 1024\.0 MiB free; a copy of shop \(1024\.0 MiB\)"):
        server(app).look(0)
    assert "cannot be seen" in server(app, here=False).look(0)["remark"]


def test_a_host_without_the_programs_is_told_which_package_has_them(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres.shutil, "which", lambda name: "" if name == "pg_dump" else name)
    with pytest.raises(Refused, match=r"pg_dump is not on this host's PATH.*postgresql-client"):
        server(app).look(0)


def test_a_server_that_does_not_answer_is_refused_in_the_programs_words(app: App, tmp_path: Path) -> None:
    program = tmp_path / "psql"
    program.write_text("#!/bin/sh\necho 'psql: error: connection to server failed: refused' >&2\nexit 2\n")
    program.chmod(0o755)
    found = server(app)
    found.environment["PATH"] = str(tmp_path)
    with pytest.raises(Refused, match=r"^psql: error: connection to server failed: refused$") as refused:
        found.call(["psql"])
    assert refused.value.facts["returncode"] == 2


def test_no_argument_of_a_program_holds_the_password(app: App) -> None:
    (note,) = server(app).undo()
    assert "very secret" not in " ".join(note["argv"])
    assert note["env"]["PGPASSWORD"] == "very secret"


def test_what_cannot_be_undone_yet_is_kept_for_the_next_time(app: App) -> None:
    folder, mark = Path(app.path("rehearsal")), Path(app.folder, "reachable")
    (folder / "copy.sqlite3").write_text("data")
    leftovers.remember(app, [{"what": "the scratch database x", "argv": ["ls", str(mark)], "env": {}}])
    assert leftovers.sweep(app) == "the scratch database x of a dry run is still there; the next run tries again"
    assert [path.name for path in folder.iterdir()] == ["undo.json"]
    mark.touch()
    assert leftovers.sweep(app) == ""
    assert not folder.exists()


def test_a_new_dry_run_does_not_forget_what_an_earlier_one_left_elsewhere(app: App) -> None:
    gone, mark = Path(app.folder, "gone"), Path(app.folder, "reachable")
    leftovers.remember(app, [{"what": "the scratch database x", "argv": ["ls", str(mark)], "env": {}}])
    leftovers.sweep(app)
    leftovers.remember(app, [{"what": "the scratch database y", "argv": ["ls", str(gone)], "env": {}}])
    gone.touch()
    assert leftovers.sweep(app) == "the scratch database x of a dry run is still there; the next run tries again"


def test_what_cannot_be_deleted_is_named_and_keeps_nothing_else(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(app.path("rehearsal"))
    for name in ("0-abc", "copy.sqlite3", "somebody's"):
        (folder / name).write_text("data")

    def remove(path: str) -> None:
        if path.endswith("somebody's"):
            raise PermissionError(1, "Operation not permitted", path)
        remove_tree(path)

    monkeypatch.setattr(leftovers, "remove_tree", remove)
    assert leftovers.sweep(app) == (
        f"{folder}, which a dry run left, cannot be deleted (Operation not permitted: {folder}/somebody's); "
        "delete it there as root"
    )
    assert [path.name for path in folder.iterdir()] == ["somebody's"]


def test_sweeping_ends_what_still_runs_there_and_nothing_else(app: App, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "input()"]
    inside, outside = (
        subprocess.Popen(argv, cwd=folder, stdin=subprocess.PIPE) for folder in (app.path("rehearsal"), str(tmp_path))
    )
    try:
        leftovers.sweep(app)
        assert inside.wait(10) == -9
        assert outside.poll() is None
    finally:
        outside.communicate(b"\n")
        inside.communicate()
