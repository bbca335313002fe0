"""The command ``webapp``."""

from __future__ import annotations

import argparse

from webapp import default_database, visits


def main() -> None:
    """Run ``webapp migrate``."""
    parser = argparse.ArgumentParser(prog="webapp", description="Look after webapp's database.")
    parser.add_argument("command", choices=["migrate"], help="bring the database to this release's schema")
    parser.parse_args()
    database = default_database()
    print(f"{database}: {visits.migrate(database)} migrations applied")
