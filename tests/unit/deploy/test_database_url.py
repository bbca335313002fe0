"""From a database's URL to what the agent is asked to copy."""

from __future__ import annotations

import pytest

from handrail.deploy.database import describe_database, passwords
from handrail.errors import PreflightError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///data/app.db", "data/app.db"),
        ("sqlite:///./data/app.db", "data/app.db"),
        ("sqlite:////srv/app.db", "/srv/app.db"),
        ("sqlite+aiosqlite:////srv/app.db?timeout=5", "/srv/app.db"),
        ("spatialite:///app.db", "app.db"),
    ],
)
def test_an_sqlite_url_names_a_file(url: str, path: str) -> None:
    assert describe_database("DATABASE_URL", url, {}, ["data/"])["path"] == path


def test_a_postgresql_url_becomes_variables_of_its_programs() -> None:
    url = "postgresql+psycopg://shop:p%40ss@db.example.com:6543/shop%2Dlive?sslmode=require&application_name=x"
    found = describe_database("DATABASE_URL", url, {"PGUSER": "other", "PGSSLCERT": "/cert"}, [])
    assert found["environment"] == {
        "PGHOST": "db.example.com",
        "PGPORT": "6543",
        "PGUSER": "shop",
        "PGPASSWORD": "p@ss",
        "PGDATABASE": "shop-live",
        "PGSSLMODE": "require",
        "PGSSLCERT": "/cert",
    }
    copy = found["parts"]["before"] + found["scratch"] + found["parts"]["after"]
    assert copy.startswith("postgresql+psycopg://shop:p%40ss@db.example.com:6543/handrail_plan_")
    assert copy.endswith("?sslmode=require&application_name=x")


def test_a_socket_and_a_name_may_stand_in_the_query() -> None:
    url = "postgres:///?host=/run/postgresql&dbname=shop&user=me"
    found = describe_database("DATABASE_URL", url, {}, [])
    assert found["environment"] == {"PGHOST": "/run/postgresql", "PGDATABASE": "shop", "PGUSER": "me"}
    assert found["parts"]["after"] == "?host=%2Frun%2Fpostgresql&user=me"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://me:hush@db/shop", "names a mysql database"),
        ("hush", "names no URL"),
        ("sqlite://", "names no SQLite file"),
        ("sqlite://app.db", "names no SQLite file"),
        ("sqlite:///:memory:", "names no SQLite file"),
        ("postgresql://me:hush@db/", "no database on it"),
        ("postgresql://me:hush@db:port/shop", "no PostgreSQL URL"),
    ],
)
def test_another_database_is_refused_without_repeating_the_url(url: str, words: str) -> None:
    with pytest.raises(PreflightError, match=words) as caught:
        describe_database("DATABASE_URL", url, {}, [])
    assert "hush" not in caught.value.message


def test_a_password_is_hidden_as_written_and_as_meant() -> None:
    assert set(passwords("postgres://me:p%40ss@db/shop?password=two")) == {"p%40ss", "p@ss", "two"}
    assert passwords("sqlite:///app.db") == []
