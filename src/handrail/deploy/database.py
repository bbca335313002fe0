"""The database that a project names by a URL in a variable, as the rehearsal's agent needs it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from handrail.errors import PreflightError

SQLITE = frozenset({"sqlite", "sqlite3", "spatialite"})
POSTGRESQL = frozenset({"postgres", "postgresql", "pgsql", "postgis"})
# What a URL may say after its "?", and the variable in which PostgreSQL's programs look for it.
PARAMETERS = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "options": "PGOPTIONS",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "service": "PGSERVICE",
    "passfile": "PGPASSFILE",
}


def describe_database(variable: str, url: str, variables: Mapping[str, str], shared: list[str]) -> dict[str, Any]:
    """Return what the agent is asked to copy, by ``kind``: ``sqlite`` or ``postgresql``. It holds the credentials.

    Args:
        url: as `SQLAlchemy`, Django's URL packages and libpq write it; a driver behind the scheme's ``+`` may stand.
        variables: the app's variables; PostgreSQL's own (``PGHOST`` …) fill in what the URL does not say.
        shared: the paths that releases share, in which a relative SQLite path may lie.

    Raises:
        PreflightError: another kind of database, or a URL of another form. The message never repeats the URL.
    """
    scheme = url.partition(":")[0].lower()
    kind = scheme.partition("+")[0]
    if kind in SQLITE:
        return _sqlite(variable, url, shared)
    if kind in POSTGRESQL:
        return _postgresql(variable, url, variables)
    what = f"a {scheme} database" if url.count("://") == 1 and scheme.replace("+", "").isalnum() else "no URL"
    raise PreflightError(
        f"{variable} names {what}; a migration can be tried on a copy of SQLite (sqlite:///path) and PostgreSQL only",
        step="preflight",
    )


def passwords(url: str) -> list[str]:
    """Return the password in a URL, as it stands there and decoded, so that no output shows it."""
    try:
        parts = urlsplit(url)
        found = [parts.password or "", *(value for name, value in parse_qsl(parts.query) if name == "password")]
    except ValueError:
        return []
    return [text for raw in found if raw for text in {raw, unquote(raw)}]


def _sqlite(variable: str, url: str, shared: list[str]) -> dict[str, Any]:
    scheme, _, rest = url.partition(":")
    rest, _, query = rest.partition("?")
    path = rest.removeprefix("///")
    if path == rest or not path or path == ":memory:" or path.startswith("file:"):
        raise PreflightError(
            f"{variable} names no SQLite file; expected sqlite:///path, with a fourth slash for an absolute path",
            step="preflight",
        )
    return {
        "kind": "sqlite",
        "variable": variable,
        "scheme": scheme,
        "path": path.removeprefix("./"),
        "query": query,
        "shared": [entry.strip("/") for entry in shared],
    }


def _postgresql(variable: str, url: str, variables: Mapping[str, str]) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        port = parts.port
        said = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        raise PreflightError(
            f"{variable} is no PostgreSQL URL that can be read; expected postgresql://user:password@host:port/name",
            step="preflight",
        ) from None
    environment = {name: value for name, value in variables.items() if name.startswith("PG") and name != variable}
    own = {
        "PGHOST": unquote(parts.hostname or ""),
        "PGPORT": str(port or ""),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.removeprefix("/")),
    }
    environment.update({name: value for name, value in own.items() if value})
    environment.update({PARAMETERS[name]: value for name, value in said if name in PARAMETERS})
    if not environment.get("PGDATABASE"):
        raise PreflightError(f"{variable} names a PostgreSQL server and no database on it", step="preflight")
    query = urlencode([pair for pair in said if pair[0] != "dbname"])
    return {
        "kind": "postgresql",
        "variable": variable,
        "environment": environment,
        "parts": {
            "before": f"{url.partition(':')[0]}://{parts.netloc}/",
            "after": f"?{query}" if query else "",
        },
        "scratch": f"handrail_plan_{secrets.token_hex(6)}",
    }
