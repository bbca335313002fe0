"""The service as a visitor and a deploy see it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from webapp import create_app, visits


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "visits.sqlite3"
    visits.migrate(path)
    return path


@pytest.fixture
def client(database: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setenv("HANDRAIL_RELEASE", "7-abc1234")
    monkeypatch.setenv("WEBAPP_GREETING", "Welcome")
    return create_app(database).test_client()


def test_visitors_are_greeted_and_counted(client: FlaskClient) -> None:
    client.get("/")

    assert client.get("/").text == "Welcome, visitor number 2! This is release 7-abc1234.\n"


def test_every_answer_names_the_release(client: FlaskClient) -> None:
    answers = [client.get(path) for path in ("/", "/healthz", "/no-such-page")]

    assert [answer.headers["X-Handrail-Release"] for answer in answers] == ["7-abc1234"] * 3


def test_a_healthy_service_says_so(client: FlaskClient) -> None:
    answer = client.get("/healthz")

    assert answer.status_code == 200
    assert answer.json == {"status": "ok", "release": "7-abc1234", "visits": 0}


def test_a_database_without_migration_is_unhealthy_and_stays_unmade(tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite3"

    answer = create_app(path).test_client().get("/healthz")

    assert answer.status_code == 500
    assert answer.json is not None
    assert "unable to open" in answer.json["error"]
    assert not path.exists()


def test_a_database_of_another_schema_is_unhealthy(client: FlaskClient, database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("ALTER TABLE visits RENAME TO visitors")
    connection.close()

    answer = client.get("/healthz")

    assert answer.status_code == 500
    assert answer.json is not None
    assert answer.json["error"] == "no such table: visits"


def test_migrating_again_changes_nothing_and_keeps_the_visits(database: Path) -> None:
    visits.add(database)

    assert visits.migrate(database) == 0
    assert visits.count(database) == 1


def test_a_newer_release_database_is_left_as_it_is(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    assert visits.migrate(database) == 0
