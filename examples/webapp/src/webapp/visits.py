"""The visits, in SQLite.

The schema's version is SQLite's own ``user_version``: the number of migrations that were applied. Migrations
only add, so that the release before this one still works on the new schema, and a rollback needs no migration.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIGRATIONS = [
    "CREATE TABLE visits (id INTEGER PRIMARY KEY, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)",
    "CREATE INDEX visits_by_time ON visits (at)",
]


def migrate(database: Path) -> int:
    """Bring the database to this code's schema, making it where needed; return how many steps that took."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with _open(database, "rwc") as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        for step in MIGRATIONS[version:]:
            connection.execute(step)
        done = max(0, len(MIGRATIONS) - version)
        if done:
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    return done


def add(database: Path) -> int:
    """Record a visit and return its number."""
    with _open(database, "rw") as connection:
        cursor = connection.execute("INSERT INTO visits DEFAULT VALUES")
        number: int = cursor.lastrowid or 0
    return number


def count(database: Path) -> int:
    """Return the number of visits.

    Raises:
        sqlite3.Error: the database is missing, or its schema is not the one that this code expects.
    """
    with _open(database, "rw") as connection:
        found: int = connection.execute("SELECT count(*) FROM visits").fetchone()[0]
    return found


@contextmanager
def _open(database: Path, mode: str) -> Iterator[sqlite3.Connection]:
    # Without a mode SQLite would make an empty database, and a missing one would look like a fresh one.
    uri = f"{database.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()
