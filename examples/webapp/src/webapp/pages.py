"""What the service answers."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from flask import Blueprint, Response, current_app, jsonify

from webapp import visits

pages = Blueprint("pages", __name__)


@pages.get("/")
def home() -> str:
    """Greet, and count the visit."""
    number = visits.add(_database())
    greeting, release = current_app.config["GREETING"], current_app.config["RELEASE"]
    return f"{greeting}, visitor number {number}! This is release {release}.\n"


@pages.get("/healthz")
def health() -> tuple[Response, int]:
    """Answer 200 when the visits can be read: a release whose code and database do not fit must not serve."""
    release = current_app.config["RELEASE"]
    try:
        count = visits.count(_database())
    except sqlite3.Error as error:
        return jsonify(status="broken", release=release, error=str(error)), 500
    return jsonify(status="ok", release=release, visits=count), 200


@pages.after_app_request
def name_release(response: Response) -> Response:
    """Say on every answer which release gave it."""
    response.headers["X-Handrail-Release"] = current_app.config["RELEASE"]
    return response


def _database() -> Path:
    path: Path = current_app.config["DATABASE"]
    return path
