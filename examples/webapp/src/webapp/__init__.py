"""A guest book of one line: it counts its visitors."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from webapp.pages import pages


def create_app(database: Path | None = None) -> Flask:
    """Return the WSGI application.

    Args:
        database: file with the visits; by default ``WEBAPP_DATABASE``, else ``data/visits.sqlite3``.
    """
    app = Flask(__name__)
    app.config["DATABASE"] = database or default_database()
    app.config["RELEASE"] = os.environ.get("HANDRAIL_RELEASE", "development")
    app.config["SECRET_KEY"] = os.environ.get("WEBAPP_SECRET_KEY")
    app.config["GREETING"] = os.environ.get("WEBAPP_GREETING", "Hello")
    app.register_blueprint(pages)
    return app


def default_database() -> Path:
    """Return the database's path in the current folder, unless the environment names another one."""
    return Path(os.environ.get("WEBAPP_DATABASE", "data/visits.sqlite3"))
